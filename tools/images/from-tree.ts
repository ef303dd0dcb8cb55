import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { stop as stopBuilder } from 'esbuild';
import { buildClient } from '../../client/build.ts';
import { buildOrchestrator } from '../../orchestrator/build.ts';
import { buildDashboard } from '../../orchestrator/dashboard/build.ts';
import { buildWorker } from '../../session-worker/build.ts';
import type { ImageName } from './build.ts';

/**
 * An image of the working tree for the local cloud, made in seconds without Docker, buildah or root: Node and the libraries of
 * this machine, and the bundles. Tests use it where those tools are missing. Do not deploy it.
 */
const root = path.resolve(import.meta.dirname, '../..');
const node = '/usr/local/bin/node';

/** Copies this Node and every library that it loads. */
function addNode(into: string): void {
  const place = (from: string, to: string) => {
    mkdirSync(path.dirname(path.join(into, to)), { recursive: true });
    copyFileSync(from, path.join(into, to));
    chmodSync(path.join(into, to), 0o755);
  };
  place(process.execPath, node);
  const libraries = execFileSync('ldd', [process.execPath], { encoding: 'utf8' }).match(/\/\S+/g) ?? [];
  for (const library of libraries) if (library !== process.execPath) place(library, library);
}

interface Content {
  cmd: string[];
  entrypoint: string[];
  env: string[];
}

async function addProgram(name: ImageName, into: string): Promise<Content> {
  const app = path.join(into, 'app');
  if (name === 'worker') {
    await buildWorker(app);
    return { entrypoint: [node, '/app/worker.cjs'], cmd: [], env: ['NODE_ENV=production'] };
  }
  await buildOrchestrator(app);
  await buildClient(path.join(app, 'room'));
  await buildDashboard(path.join(app, 'dashboard'));
  cpSync(path.join(root, 'supabase/migrations'), path.join(app, 'migrations'), { recursive: true });
  return {
    entrypoint: [node],
    cmd: ['/app/orchestrator.mjs'],
    env: ['NODE_ENV=production', 'ROOM_DIR=/app/room', 'DASHBOARD_DIR=/app/dashboard'],
  };
}

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

/** Writes a blob into the layout. @returns its descriptor */
function addBlob(layout: string, mediaType: string, bytes: Buffer | string) {
  const hex = sha256(bytes);
  writeFileSync(path.join(layout, 'blobs/sha256', hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(bytes) };
}

/**
 * @param layout folder of the OCI layout, made anew
 * @param variables additional variables of the image, such as `RELEASE=2`; another value gives another digest
 * @returns the image's digest
 */
export async function imageOfTree(name: ImageName, layout: string, variables: string[] = []): Promise<string> {
  const tree = mkdtempSync(path.join(tmpdir(), 'greenroom-tree-'));
  rmSync(layout, { recursive: true, force: true });
  mkdirSync(path.join(layout, 'blobs/sha256'), { recursive: true });
  try {
    addNode(tree);
    const { entrypoint, cmd, env } = await addProgram(name, tree).finally(() => stopBuilder());
    const archive = path.join(layout, 'layer.tar');
    const reproducible = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
    execFileSync('tar', [...reproducible, '-cf', archive, '-C', tree, '.']);
    const layerBytes = readFileSync(archive);
    const layer = addBlob(layout, 'application/vnd.oci.image.layer.v1.tar', layerBytes);
    rmSync(archive);
    const config = addBlob(
      layout,
      'application/vnd.oci.image.config.v1+json',
      JSON.stringify({
        architecture: process.arch === 'x64' ? 'amd64' : process.arch,
        os: 'linux',
        config: { Entrypoint: entrypoint, Cmd: cmd, Env: [...env, ...variables], User: '65532:65532' },
        rootfs: { type: 'layers', diff_ids: [layer.digest] },
      }),
    );
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const manifest = addBlob(
      layout,
      mediaType,
      JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [layer] }),
    );
    writeFileSync(path.join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
    writeFileSync(path.join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [manifest] }));
    return manifest.digest;
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
}
