import { LoadFailure } from './failure.ts';
import { fileSource, pvcSource } from './local-source.ts';
import { type ModelContent, type ModelSource, parseModelUri, type SourceOptions } from './source.ts';

/** Sources by scheme; those with a library behind them are imported when first asked for. */
const sources: Readonly<Record<string, () => Promise<ModelSource>>> = {
  file: async () => fileSource,
  pvc: async () => pvcSource,
  http: async () => (await import('./http-source.ts')).httpSource,
  https: async () => (await import('./http-source.ts')).httpSource,
  s3: async () => (await import('./s3-source.ts')).s3Source,
  oci: async () => (await import('./oci-source.ts')).ociSource,
  'mlflow-artifacts': async () => (await import('./mlflow-source.ts')).mlflowSource,
};

/**
 * Finds the model that `uri` names.
 * @throws LoadFailure when the URI is not understood, or as the source says.
 */
export async function openModel(uri: string, options: SourceOptions): Promise<ModelContent> {
  const parsed = parseModelUri(uri);
  const source = Object.hasOwn(sources, parsed.scheme) ? sources[parsed.scheme] : undefined;
  if (source === undefined) {
    throw new LoadFailure(
      'InvalidConfiguration',
      `${parsed.shown}: models are read from ${Object.keys(sources).join('://, ')}://, not from ${parsed.scheme}://`,
    );
  }
  return (await source()).open(parsed, options);
}
