import type { ReconcileContext } from '../../../runtime/reconcile-context.ts';
import type { AnalysisBook } from '../analysis/book.ts';
import type { Planner } from '../capacity/planner.ts';
import type { LoadBook } from '../load/book.ts';
import type { PodEvents } from '../pod-events.ts';
import type { PortBook } from '../routing/ports.ts';
import type { Scope } from '../scope.ts';
import type { RuntimeImages } from '../types.ts';

/** What a phase may use: the runtime's context for this reconcile, and what the operator was started with and remembers. */
export interface PhaseContext extends ReconcileContext {
  readonly images: RuntimeImages;
  readonly ports: PortBook;
  readonly analyses: AnalysisBook;
  readonly planner: Planner;
  readonly loads: LoadBook;
  readonly podEvents: PodEvents;
}

/**
 * One step of a reconcile: reads the scope, acts, and sets the fields of the scope that name it. `stop` ends the
 * reconcile in good order: what is known goes into status. Throws what has to be tried again.
 */
export type Phase = (scope: Scope, context: PhaseContext) => Promise<'continue' | 'stop'>;
