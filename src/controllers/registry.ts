import type { Clock } from '../runtime/clock.ts';
import type { ControllerDefinition } from '../runtime/reconcile-context.ts';
import { modelController } from './model/controller.ts';
import type { QueryRunner } from './modeldeployment/analysis/queries.ts';
import { modelDeploymentController } from './modeldeployment/controller.ts';
import type { FetchCounts } from './modeldeployment/counts/reader.ts';
import { modelVersionController } from './modelversion/controller.ts';
import { registryAskerController } from './registry-asker/controller.ts';
import type { RegistrySettings } from './registry-asker/desired.ts';
import { routerController } from './router/controller.ts';
import type { RouterSettings } from './router/desired.ts';

/** What controllers are told from outside. */
export interface ControllerOptions {
  /** Image of Fairlead that new revisions and Jobs run. */
  readonly serverImage: string;
  /** The same for pods with a GPU. */
  readonly serverImageCuda: string;
  readonly routers: RouterSettings;
  readonly registries: RegistrySettings;
  /** Objects of one kind that are reconciled at once. */
  readonly workers: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  /** Reads what routers and servers count. */
  readonly fetchCounts: FetchCounts;
  /** Asks what metrics outside of Fairlead say. */
  readonly runQuery: QueryRunner;
}

/** Every controller of the operator. */
export function controllers(options: ControllerOptions): readonly ControllerDefinition[] {
  return [
    modelDeploymentController(options) as ControllerDefinition,
    routerController(options.routers) as ControllerDefinition,
    registryAskerController(options.registries) as ControllerDefinition,
    modelController(options) as ControllerDefinition,
    modelVersionController(options) as ControllerDefinition,
  ];
}
