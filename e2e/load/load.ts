import { image, kubectl } from '../environment.ts';
import { type Load, type LoadOptions, startLoadPod } from './load-pod.ts';

/** A load pod on the cluster of the end-to-end tests. */
export function startLoad(namespace: string, model: string, options: LoadOptions): Promise<Load> {
  return startLoadPod({ kubectl: kubectl(), image: image(), namespace }, model, options);
}
