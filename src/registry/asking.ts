import {
  type ModelRegistry,
  parseModelsUri,
  type RegistryAnswer,
  type RegistryConfig,
  type RegistryFailure,
  type RegistryQuestion,
  RegistryUnavailableError,
} from '../api/registry-answers.ts';
import { Backoff } from '../runtime/backoff.ts';
import { type Clock, sleep } from '../runtime/clock.ts';
import { describeError } from '../runtime/outcome.ts';
import type { Logger } from '../telemetry/logger.ts';

export interface AskingOptions {
  readonly config: Pick<RegistryConfig, 'questions' | 'failureKey'>;
  readonly registry: ModelRegistry;
  /** Writes these keys where the operator reads them; `null` removes one. Throws when it cannot. */
  readonly publish: (data: Readonly<Record<string, string | null>>) => Promise<void>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
}

/** Between two rounds, give or take a fifth, so that many that started together do not ask together. */
const INTERVAL_MS = 15_000;
const JITTER = 0.2;
const BACKOFF_BASE_MS = 5_000;
const BACKOFF_MAX_MS = 300_000;
/** Everything is written again after this long, in case someone took it away. */
const REPUBLISH_MS = 300_000;
/** So many rounds in a row without an answer are told: a server that restarts is nobody's concern. */
const FAILURES_TOLD = 3;

/**
 * Asks a registry the same questions again and again, and publishes an answer when it differs from the one before. What
 * cannot be answered now keeps its last answer.
 */
export class Asking {
  readonly #options: AskingOptions;
  readonly #published = new Map<string, string | null>();
  readonly #backoff: Backoff;
  #failures = 0;
  /** Where the next round begins: what could not be answered must not keep the rest from being asked. */
  #first = 0;
  #publishedAllAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: AskingOptions) {
    this.#options = options;
    this.#backoff = new Backoff(BACKOFF_BASE_MS, BACKOFF_MAX_MS, options.random);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      let waitMs: number;
      try {
        waitMs = await this.round();
      } catch (error) {
        if (signal.aborted) return;
        waitMs = this.#backoff.next();
        logger.warn(`cannot publish: ${describeError(error)}`, { retryAfterMs: Math.round(waitMs) });
      }
      await sleep(clock, waitMs, signal);
    }
  }

  /** Asks all questions once. @returns milliseconds until the next round */
  async round(): Promise<number> {
    const { config, random } = this.#options;
    const data = new Map<string, string | null>();
    let failure: RegistryUnavailableError | undefined;
    const { questions } = config;
    const order = [...questions.slice(this.#first), ...questions.slice(0, this.#first)];
    for (const question of order) {
      const answer = await this.#ask(question);
      if (answer instanceof RegistryUnavailableError) {
        // A server that turns strangers away, or does not answer, need not be asked the rest now.
        failure = answer;
        this.#first = (questions.indexOf(question) + 1) % questions.length;
        break;
      }
      data.set(question.key, JSON.stringify(answer));
    }
    this.#failures = failure === undefined ? 0 : this.#failures + 1;
    if (failure === undefined) data.set(config.failureKey, null);
    else if (this.#failures >= FAILURES_TOLD) data.set(config.failureKey, failureText(failure));
    await this.#publish(data);
    if (failure !== undefined)
      return Math.max(Math.min(failure.retryAfterMs ?? 0, BACKOFF_MAX_MS), this.#backoff.next());
    this.#backoff.reset();
    return INTERVAL_MS * (1 + JITTER * (2 * random() - 1));
  }

  async #ask({ uri }: RegistryQuestion): Promise<RegistryAnswer | RegistryUnavailableError> {
    const reference = parseModelsUri(uri);
    if (reference === undefined)
      return { kind: 'missing', message: `${uri} is not models:/NAME@ALIAS or models:/NAME/VERSION` };
    try {
      return await this.#options.registry.find(reference);
    } catch (error) {
      if (!(error instanceof RegistryUnavailableError)) throw error;
      this.#options.logger.warn(error.message, { question: uri });
      return error;
    }
  }

  async #publish(data: ReadonlyMap<string, string | null>): Promise<void> {
    const { clock, publish, logger } = this.#options;
    const isDue = clock.monotonic() - this.#publishedAllAtMs >= REPUBLISH_MS;
    const changes = [...data].filter(([key, value]) => isDue || this.#published.get(key) !== value);
    if (changes.length === 0) return;
    await publish(Object.fromEntries(changes));
    for (const [key, value] of changes) {
      if (this.#published.get(key) !== value) logger.info('published', { key, value });
      this.#published.set(key, value);
    }
    if (isDue) this.#publishedAllAtMs = clock.monotonic();
  }
}

function failureText({ reason, message }: RegistryUnavailableError): string {
  return JSON.stringify({ reason, message } satisfies RegistryFailure);
}
