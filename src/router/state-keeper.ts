import type { Clock } from '../runtime/clock.ts';
import { describeError } from '../runtime/outcome.ts';
import type { KeptState } from '../serving/router/kept-state.ts';
import type { RouteTable } from '../serving/router/route-table.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { LeaseReport } from './lease-report.ts';

/** Changes of endpoints are kept so long after they come, together with those that follow; routes at once. */
const KEEP_ENDPOINTS_AFTER_MS = 1_000;

export interface StateKeeperOptions {
  /** Undefined: nothing is kept. */
  readonly kept: KeptState | undefined;
  readonly table: Pick<RouteTable, 'report' | 'texts' | 'addresses'>;
  readonly report: Pick<LeaseReport, 'tell'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps what is in force, and only then lets the operator know: a router that has acknowledged a route must not fall back
 * behind it when it is started again while the API server is away.
 */
export class StateKeeper {
  readonly #options: StateKeeperOptions;
  #isDue = false;
  #isKeeping = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: StateKeeperOptions) {
    this.#options = options;
  }

  routesChanged(): void {
    this.#isDue = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (!this.#isKeeping) void this.#keepAll();
  }

  endpointsChanged(): void {
    this.#cancelTimer ??= this.#options.clock.after(KEEP_ENDPOINTS_AFTER_MS, () => {
      this.#cancelTimer = undefined;
      this.routesChanged();
    });
  }

  /** Keeps nothing any more. */
  stop(): void {
    this.#cancelTimer?.();
  }

  /** Changes that come while something is written follow in one go. */
  async #keepAll(): Promise<void> {
    this.#isKeeping = true;
    while (this.#isDue) {
      this.#isDue = false;
      const { report, texts, addresses } = this.#options.table;
      await this.#keep({
        routes: Object.fromEntries(texts),
        addresses: Object.fromEntries([...addresses].map(([revision, all]) => [revision, [...all]])),
      });
      this.#options.report.tell(report);
    }
    this.#isKeeping = false;
  }

  async #keep(state: Parameters<KeptState['write']>[0]): Promise<void> {
    const { kept, logger } = this.#options;
    try {
      await kept?.write(state);
    } catch (error) {
      logger.error(`routes are not kept, a start without the API server will have none: ${describeError(error)}`);
      await kept
        ?.forget()
        .catch((cause: unknown) => logger.error(`old routes are still kept: ${describeError(cause)}`));
    }
  }
}
