import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openImageTree } from './image-tree.ts';
import { type Registry, startRegistry } from './registry.ts';

const dir = mkdtempSync(path.join(tmpdir(), 'registry-'));
const token = 'FlyV1 fm2_secret';
const authorization = `Basic ${Buffer.from(`x:${token}`).toString('base64')}`;
const sha256 = (bytes: string | Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
let registry: Registry;

beforeAll(async () => {
  registry = await startRegistry({ dir: path.join(dir, 'registry'), token, knows: (name) => name === 'app' });
});
afterAll(async () => {
  await registry.stop();
  rmSync(dir, { recursive: true, force: true });
});

const ask = (url: string, init: RequestInit = {}) =>
  fetch(`http://${registry.host}${url}`, { ...init, headers: { authorization, ...init.headers } });
const codeOf = async (answer: Response) =>
  ((await answer.json()) as { errors: Array<{ code: string }> }).errors[0]?.code;

/** An OCI layout with one layer that contains these files. */
function layoutOf(name: string, files: Record<string, string>): { layout: string; digest: string } {
  const tree = path.join(dir, `${name}-tree`);
  const layout = path.join(dir, name);
  mkdirSync(tree, { recursive: true });
  mkdirSync(path.join(layout, 'blobs/sha256'), { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(tree, file), text);
  const blob = (mediaType: string, bytes: Buffer) => {
    const digest = sha256(bytes);
    writeFileSync(path.join(layout, 'blobs', ...digest.split(':')), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const layer = blob('application/vnd.oci.image.layer.v1.tar', execFileSync('tar', ['-c', '-C', tree, '.']));
  const config = blob(
    'application/vnd.oci.image.config.v1+json',
    Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: { Entrypoint: ['/run'], Cmd: ['now'], Env: ['A=b=c'] },
        rootfs: { type: 'layers', diff_ids: [layer.digest] },
      }),
    ),
  );
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = blob(
    mediaType,
    Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [layer] })),
  );
  writeFileSync(path.join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(
    path.join(layout, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'one' } }],
    }),
  );
  return { layout, digest: manifest.digest };
}

async function pushBlob(content: Buffer | string, digest = sha256(content)): Promise<Response> {
  const begun = await ask('/v2/app/blobs/uploads/', { method: 'POST' });
  return ask(`${begun.headers.get('location')}?digest=${digest}`, {
    method: 'PUT',
    body: new Uint8Array(Buffer.from(content)),
  });
}

describe('the registry refuses', () => {
  test('a client without the token: 401 with a challenge', async () => {
    const answer = await fetch(`http://${registry.host}/v2/`);
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="registry.fly.io"']);
    expect((await ask('/v2/')).status).toBe(200);
  });
  test('an unknown digest: 404 MANIFEST_UNKNOWN', async () => {
    const answer = await ask(`/v2/app/manifests/sha256:${'0'.repeat(64)}`);
    expect([answer.status, await codeOf(answer)]).toEqual([404, 'MANIFEST_UNKNOWN']);
  });
  test('a repository without an app of that name', async () => {
    expect((await ask('/v2/other/blobs/uploads/', { method: 'POST' })).status).toBe(403);
  });
  test('a blob whose bytes have another digest', async () => {
    const answer = await pushBlob('some bytes', sha256('other bytes'));
    expect([answer.status, await codeOf(answer)]).toEqual([400, 'DIGEST_INVALID']);
    expect((await pushBlob('some bytes')).status).toBe(201);
  });
  test('a manifest that names a blob which was not pushed', async () => {
    const body = JSON.stringify({ schemaVersion: 2, config: { digest: sha256('absent') }, layers: [] });
    const answer = await ask('/v2/app/manifests/latest', { method: 'PUT', body });
    expect([answer.status, await codeOf(answer)]).toEqual([404, 'MANIFEST_BLOB_UNKNOWN']);
  });
});

const hasSkopeo = (() => {
  try {
    return execFileSync('skopeo', ['--version'], { encoding: 'utf8' }).startsWith('skopeo');
  } catch {
    return false;
  }
})();

describe.skipIf(!hasSkopeo)('skopeo, unmodified', () => {
  // Not synchronously: the registry answers in this process.
  const skopeo = (...args: string[]) => promisify(execFile)('skopeo', args);
  const copy = (layout: string, credentials: string) =>
    skopeo(
      'copy',
      '--insecure-policy',
      '--quiet',
      '--preserve-digests',
      '--dest-tls-verify=false',
      `--dest-creds=${credentials}`,
      `oci:${layout}:one`,
      `docker://${registry.host}/app:v1`,
    );

  test('pushes an image, which keeps its digest, and a machine sees its files', async () => {
    const { layout, digest } = layoutOf('pushed', { hello: 'world' });
    await copy(layout, `x:${token}`);
    const pushed = registry.find('app', 'v1');
    expect(pushed).toMatchObject({ digest, entrypoint: ['/run'], cmd: ['now'], env: ['A=b=c'] });
    const tree = await openImageTree(pushed!, path.join(dir, 'trees'));
    expect(execFileSync('cat', [path.join(tree.root, 'hello')], { encoding: 'utf8' })).toBe('world');
    expect(tree.env).toEqual({ A: 'b=c' });
  });
  test('is refused with another token', async () => {
    await expect(copy(layoutOf('refused', { a: 'b' }).layout, 'x:wrong')).rejects.toThrow(
      /authentication required|unauthorized/i,
    );
  });
});
