import { createHash, randomUUID } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';

/**
 * Fly's image registry on this machine: the part of the OCI distribution specification that `skopeo copy`,
 * `docker push` and a host's pull need.
 *
 * - As at registry.fly.io, the user name is ignored, the password is a token of the organisation, and a
 *   repository is the name of an existing app.
 * - A blob whose digest differs from the client's is refused, as is a manifest that names missing blobs.
 */
export interface RegistryOptions {
  /** Folder of the blobs; created when missing. */
  dir: string;
  /** Password for every user. */
  token: string;
  /** Whether this repository may be pushed to. Default: any name. */
  knows?: (repository: string) => boolean;
  /** Default 0: any free port. */
  port?: number;
}

/** A pushed image, with what a host needs to run it. */
export interface PushedImage {
  digest: string;
  /** From the image's configuration. */
  entrypoint: string[];
  cmd: string[];
  env: string[];
  user: string;
  /** Layer files, base first, gzip or plain tar. */
  layers: string[];
}

export interface Registry {
  /** `127.0.0.1:PORT`: the registry part of an image reference. */
  readonly host: string;
  /** Undefined when no such image was pushed. @param reference a tag or a digest */
  find(repository: string, reference: string): PushedImage | undefined;
  stop(): Promise<void>;
}

interface Manifest {
  config: { digest: string };
  layers: Array<{ digest: string }>;
}

interface Refusal {
  status: number;
  code: string;
  message: string;
}
class Refused extends Error {
  readonly refusal: Refusal;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.refusal = { status, code, message };
  }
}

const manifestTypes = 'application/vnd.oci.image.manifest.v1+json';
const digestPattern = /^sha256:[0-9a-f]{64}$/;
const maxManifestBytes = 4 * 1024 * 1024;

const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxManifestBytes) throw new Refused(413, 'SIZE_INVALID', 'manifest too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export async function startRegistry({ dir, token, knows = () => true, port = 0 }: RegistryOptions): Promise<Registry> {
  const blobs = path.join(dir, 'blobs');
  const uploads = path.join(dir, 'uploads');
  for (const folder of [blobs, uploads]) mkdirSync(folder, { recursive: true });
  /** Maps `repository@digest` and `repository:tag` to the manifest. */
  const manifests = new Map<string, { digest: string; type: string; bytes: Buffer }>();
  const blobFile = (digest: string) => path.join(blobs, digest.slice('sha256:'.length));

  const authorised = (request: IncomingMessage): boolean => {
    const [, encoded] = /^Basic (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const password = Buffer.from(encoded ?? '', 'base64')
      .toString()
      .split(':')
      .slice(1)
      .join(':');
    return password === token || password === token.replace(/^FlyV1 /, '');
  };

  const manifestOf = (repository: string, reference: string) =>
    manifests.get(`${repository}${digestPattern.test(reference) ? '@' : ':'}${reference}`);

  async function finishUpload(file: string, digest: string): Promise<void> {
    const hash = createHash('sha256');
    await pipeline(createReadStream(file), hash);
    if (`sha256:${hash.digest('hex')}` !== digest) {
      rmSync(file);
      throw new Refused(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
    }
    renameSync(file, blobFile(digest));
  }

  async function upload(request: IncomingMessage, response: ServerResponse, url: URL, repository: string, id: string) {
    if (request.method === 'POST') {
      const mounted = url.searchParams.get('mount');
      if (mounted && existsSync(blobFile(mounted))) return created(response, repository, 'blobs', mounted);
      id = randomUUID();
    }
    const file = path.join(uploads, id);
    if (request.method !== 'POST' && !existsSync(file)) throw new Refused(404, 'BLOB_UPLOAD_UNKNOWN', 'upload unknown');
    await pipeline(request, createWriteStream(file, { flags: 'a' }));
    const digest = url.searchParams.get('digest');
    if (digest !== null) {
      if (!digestPattern.test(digest)) throw new Refused(400, 'DIGEST_INVALID', 'digest');
      await finishUpload(file, digest);
      return created(response, repository, 'blobs', digest);
    }
    response.writeHead(202, {
      location: `/v2/${repository}/blobs/uploads/${id}`,
      range: `0-${Math.max(0, statSync(file).size - 1)}`,
      'docker-upload-uuid': id,
    });
    response.end();
  }

  const created = (response: ServerResponse, repository: string, kind: string, digest: string) =>
    response.writeHead(201, { location: `/v2/${repository}/${kind}/${digest}`, 'docker-content-digest': digest }).end();

  function sendBlob(request: IncomingMessage, response: ServerResponse, digest: string) {
    const file = blobFile(digest);
    if (!digestPattern.test(digest) || !existsSync(file))
      throw new Refused(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
    response.writeHead(200, { 'content-length': statSync(file).size, 'docker-content-digest': digest });
    if (request.method === 'HEAD') return response.end();
    return pipeline(createReadStream(file), response);
  }

  async function putManifest(
    request: IncomingMessage,
    response: ServerResponse,
    repository: string,
    reference: string,
  ) {
    const bytes = await readAll(request);
    const digest = digestOf(bytes);
    if (digestPattern.test(reference) && reference !== digest)
      throw new Refused(400, 'DIGEST_INVALID', 'manifest digest');
    const { config, layers } = JSON.parse(bytes.toString()) as Manifest;
    for (const blob of [config, ...layers])
      if (!existsSync(blobFile(blob.digest))) throw new Refused(404, 'MANIFEST_BLOB_UNKNOWN', `blob ${blob.digest}`);
    const kept = { digest, type: request.headers['content-type'] ?? manifestTypes, bytes };
    manifests.set(`${repository}@${digest}`, kept);
    if (reference !== digest) manifests.set(`${repository}:${reference}`, kept);
    created(response, repository, 'manifests', digest);
  }

  function sendManifest(request: IncomingMessage, response: ServerResponse, repository: string, reference: string) {
    const found = manifestOf(repository, reference);
    if (!found) throw new Refused(404, 'MANIFEST_UNKNOWN', `manifest unknown: ${reference}`);
    const { bytes, digest, type } = found;
    response.writeHead(200, { 'content-type': type, 'content-length': bytes.length, 'docker-content-digest': digest });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    if (!authorised(request)) {
      response.setHeader('www-authenticate', 'Basic realm="registry.fly.io"');
      throw new Refused(401, 'UNAUTHORIZED', 'authentication required');
    }
    const url = new URL(request.url ?? '/', 'http://registry');
    if (url.pathname === '/v2/') return response.writeHead(200).end('{}');
    const [, repository = '', kind, reference = ''] =
      /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests)\/([^/]*)$/.exec(url.pathname) ?? [];
    if (kind === undefined) throw new Refused(404, 'NAME_UNKNOWN', 'unknown path');
    if (!knows(repository)) throw new Refused(403, 'DENIED', `requested access to ${repository} is denied`);
    const reads = request.method === 'GET' || request.method === 'HEAD';
    if (kind === 'blobs/uploads') return upload(request, response, url, repository, reference);
    if (kind === 'blobs' && reads) return sendBlob(request, response, reference);
    if (kind === 'manifests' && reads) return sendManifest(request, response, repository, reference);
    if (kind === 'manifests' && request.method === 'PUT') return putManifest(request, response, repository, reference);
    throw new Refused(405, 'UNSUPPORTED', 'the operation is unsupported');
  }

  const server = createServer((request, response) => {
    response.setHeader('docker-distribution-api-version', 'registry/2.0');
    answer(request, response).catch((error: unknown) => {
      const refusal =
        error instanceof Refused ? error.refusal : { status: 500, code: 'UNKNOWN', message: String(error) };
      if (response.headersSent) return void response.destroy();
      request.resume();
      const { status, code, message } = refusal;
      response
        .writeHead(status, { 'content-type': 'application/json' })
        .end(JSON.stringify({ errors: [{ code, message }] }));
    });
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });

  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    find: (repository, reference) => {
      const found = manifestOf(repository, reference);
      if (!found) return undefined;
      const { config, layers } = JSON.parse(found.bytes.toString()) as Manifest;
      const { config: image = {} } = JSON.parse(readFileSync(blobFile(config.digest), 'utf8')) as {
        config?: { Entrypoint?: string[]; Cmd?: string[]; Env?: string[]; User?: string };
      };
      return {
        digest: found.digest,
        entrypoint: image.Entrypoint ?? [],
        cmd: image.Cmd ?? [],
        env: image.Env ?? [],
        user: image.User ?? '',
        layers: layers.map(({ digest }) => blobFile(digest)),
      };
    },
    stop: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
