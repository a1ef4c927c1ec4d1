import { LoadFailure } from './failure.ts';
import { visibleEntries } from './image-layers.ts';
import { unpacked } from './layer-decoder.ts';
import { type OciDescriptor, type OciManifest, OciRepository, parseOciReference } from './oci-registry.ts';
import type { ModelEntry, ModelSource } from './source.ts';
import { type TarEntry, tarEntries } from './tar.ts';

/** Names of a layer's file, as ORAS and the CNCF's ModelPack write them. */
const TITLES = ['org.opencontainers.image.title', 'org.cncf.model.filepath'];
/** Set by ORAS on a directory, which it packs as a tar. */
const UNPACK = 'io.deis.oras.content.unpack';
const IMAGE_CONFIGS = ['application/vnd.oci.image.config.v1+json', 'application/vnd.docker.container.image.v1+json'];
/** Where a container image that carries a model ("modelcar") keeps it. */
const IMAGE_MODEL_FOLDER = 'models';

/**
 * A model in a registry: an artefact whose layers are files with titles (`oras push`), one layer that is the file, tar
 * layers, or a container image with the model under `/models`.
 */
export const ociSource: ModelSource = {
  async open(uri, options) {
    const reference = parseOciReference(uri, options.endpoint);
    const repository = new OciRepository(reference, uri.shown, options);
    const manifest = await chosen(await repository.manifest(reference.reference), repository, uri.shown);
    const layers = manifest.layers ?? [];
    const [only] = layers;
    if (only === undefined) throw new LoadFailure('InvalidModel', `${uri.shown}: the manifest has no layers`);
    if (layers.length === 1 && !isArchive(only)) {
      const path = titleOf(only)?.split('/').at(-1) ?? 'model.onnx';
      return { layout: 'file', entries: one({ path, sizeBytes: only.size, content: repository.blob(only) }) };
    }
    const isImage = IMAGE_CONFIGS.includes(manifest.config?.mediaType ?? '');
    const opened = layers.map((layer) => () => layerEntries(layer, repository, uri.shown));
    const entries = isImage ? imageFiles(opened, uri.shown) : artefactFiles(opened, uri.shown);
    return { layout: 'directory', entries };
  },
};

/** Of an index, the manifest for this machine, or the only one. */
async function chosen(manifest: OciManifest, repository: OciRepository, shown: string): Promise<OciManifest> {
  const choices = manifest.manifests;
  if (choices === undefined) return manifest;
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const fitting = choices.find(({ platform }) => platform?.os === 'linux' && platform.architecture === architecture);
  const descriptor = choices.length === 1 ? choices[0] : fitting;
  if (descriptor === undefined) {
    const offered = choices.map(({ platform }) => `${platform?.os ?? '?'}/${platform?.architecture ?? '?'}`).join(', ');
    throw new LoadFailure(
      'ModelNotFound',
      `${shown}: the index has ${offered || 'nothing'}, but not linux/${architecture}`,
    );
  }
  return repository.manifest(descriptor.digest);
}

async function* one(entry: ModelEntry): AsyncGenerator<ModelEntry> {
  yield entry;
}

async function* layerEntries(layer: OciDescriptor, repository: OciRepository, shown: string): AsyncGenerator<TarEntry> {
  const path = titleOf(layer);
  if (isArchive(layer)) yield* tarEntries(unpacked(repository.blob(layer), layer.mediaType, shown), shown);
  else if (path !== undefined) yield { path, kind: 'file', sizeBytes: layer.size, content: repository.blob(layer) };
  else {
    throw new LoadFailure(
      'InvalidModel',
      `${shown}: layer ${layer.digest} (${layer.mediaType}) has neither a title nor a tar's type`,
    );
  }
}

type Layer = () => AsyncIterable<TarEntry>;

/** All of an artefact's layers are the model. */
async function* artefactFiles(layers: readonly Layer[], shown: string): AsyncGenerator<ModelEntry> {
  for (const open of layers) {
    for await (const entry of open()) if (isPlainFile(entry, shown)) yield entry;
  }
}

/** Of an image only its model folder is the model; what else it holds, links and devices too, is nothing to us. */
async function* imageFiles(layers: readonly Layer[], shown: string): AsyncGenerator<ModelEntry> {
  for await (const entry of visibleEntries(IMAGE_MODEL_FOLDER, layers)) {
    if (!isPlainFile(entry, shown)) continue;
    yield { ...entry, path: entry.path.slice(IMAGE_MODEL_FOLDER.length + 1) };
  }
}

/** @throws LoadFailure `InvalidModel` for what is neither a file nor a directory. */
function isPlainFile({ path, kind }: TarEntry, shown: string): boolean {
  if (kind === 'file' || kind === 'directory') return kind === 'file';
  const what = kind === 'link' ? 'a link' : 'neither a file nor a directory';
  throw new LoadFailure('InvalidModel', `${shown}: ${path} is ${what}; a model holds plain files only`);
}

function titleOf({ annotations }: OciDescriptor): string | undefined {
  return TITLES.map((key) => annotations?.[key]).find((title) => title !== undefined);
}

function isArchive({ mediaType, annotations }: OciDescriptor): boolean {
  return annotations?.[UNPACK] === 'true' || /[.+/]tar\b/.test(mediaType);
}
