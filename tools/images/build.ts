import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { seedBases } from './bases.ts';
import { buildah, run } from './commands.ts';

const root = path.resolve(import.meta.dirname, '../..');

export type ImageName = 'worker' | 'orchestrator';

export interface BuiltImage {
  /** `sha256:…` of the image's manifest: what a machine's configuration pins. */
  digest: string;
  /** Folder of the OCI layout; its tag is the image's name. */
  ociDir: string;
  /** Bytes that a host pulls: the compressed layers. */
  compressedBytes: number;
}

/** The time of the newest commit, in seconds: two builds of one commit get the same files. */
const sourceDateEpoch = (): string =>
  execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }).trim();

/** npm's settings and certificate authority of this machine, where it has some: networks with a registry of their own. */
const secrets = (): string[] =>
  (
    [
      ['npmrc', path.join(homedir(), '.npmrc')],
      ['ca', process.env.NODE_EXTRA_CA_CERTS],
    ] as const
  ).flatMap(([id, file]) => (file && existsSync(file) ? ['--secret', `id=${id},src=${file}`] : []));

const sizeOf = (dir: string): number =>
  readdirSync(dir).reduce((sum, name) => sum + statSync(path.join(dir, name)).size, 0);

/**
 * Builds an image from its Dockerfile without Docker (buildah, isolation by chroot; needs root).
 *
 * @param name the worker's or the orchestrator's image.
 * @param storeDir folder of the images and of the base images, which are made there once (about two minutes).
 */
export function buildImage(name: ImageName, storeDir: string): BuiltImage {
  mkdirSync(storeDir, { recursive: true });
  seedBases(storeDir);
  const epoch = sourceDateEpoch();
  const tag = `localhost/greenroom-${name}:latest`;
  buildah(storeDir, [
    ...['bud', '--quiet', '--pull-never', '--format', 'oci', '--timestamp', epoch, ...secrets()],
    ...['--build-arg', `SOURCE_DATE_EPOCH=${epoch}`, '-f', path.join(root, `infra/docker/${name}.Dockerfile`)],
    ...['-t', tag, root],
  ]);
  const ociDir = path.join(storeDir, `${name}.oci`);
  rmSync(ociDir, { recursive: true, force: true });
  buildah(storeDir, ['push', '--quiet', tag, `oci:${ociDir}:${name}`]);
  const index = JSON.parse(readFileSync(path.join(ociDir, 'index.json'), 'utf8')) as {
    manifests: Array<{ digest: string }>;
  };
  return { digest: index.manifests[0]!.digest, ociDir, compressedBytes: sizeOf(path.join(ociDir, 'blobs/sha256')) };
}

/** Unpacks an image's file tree; the folder of its root. */
export function unpackImage(name: ImageName, { ociDir }: BuiltImage, into: string): string {
  rmSync(into, { recursive: true, force: true });
  run('umoci', ['unpack', '--image', `${ociDir}:${name}`, into]);
  return path.join(into, 'rootfs');
}
