import type { ControllerDefinition } from '../runtime/reconcile-context.ts';
import { modelController } from './model/controller.ts';
import { modelDeploymentController } from './modeldeployment/controller.ts';
import { modelVersionController } from './modelversion/controller.ts';

/** What controllers are told from outside. */
export interface ControllerOptions {
  /** Image of Fairlead that new revisions and Jobs run. */
  readonly serverImage: string;
  /** The same for pods with a GPU. */
  readonly serverImageCuda: string;
  /** Objects of one kind that are reconciled at once. */
  readonly workers: number;
}

/** Every controller of the operator. */
export function controllers(options: ControllerOptions): readonly ControllerDefinition[] {
  return [
    modelDeploymentController(options) as ControllerDefinition,
    modelController(options) as ControllerDefinition,
    modelVersionController(options) as ControllerDefinition,
  ];
}
