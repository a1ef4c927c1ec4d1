/** By which names routers ask the ModelDeployments that another one refers to. Pure. */
import type { Destination } from '../../../api/route.ts';
import type { ModelDeployment } from '../../kinds.ts';
import type { RouteContent } from './route.ts';

/** Under which the servers of a ModelDeployment know its model; undefined of containers of the user's own, which know it by names of their own. */
export function modelNameOf({ metadata, spec }: Pick<ModelDeployment, 'metadata' | 'spec'>): string | undefined {
  return spec.runtime?.container === undefined ? metadata.name : undefined;
}

/**
 * The route with the names of all that it refers to.
 * @param other a ModelDeployment of the namespace by its name; undefined where there is none
 */
export function withModelNames(
  content: RouteContent,
  other: (name: string) => ModelDeployment | undefined,
): RouteContent {
  const named = (to: Destination): Destination => {
    const referred = 'revision' in to ? undefined : other(to.modelDeployment);
    const modelName = referred && modelNameOf(referred);
    return modelName === undefined ? to : { ...to, modelName };
  };
  const { fallback, ensemble } = content;
  const members = ensemble?.members.map((member) => ({ ...member, to: named(member.to) }));
  return {
    ...content,
    ...(fallback && { fallback: { ...fallback, to: named(fallback.to) } }),
    ...(ensemble && members && { ensemble: { ...ensemble, members } }),
  };
}
