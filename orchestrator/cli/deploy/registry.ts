import { createReadStream, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { z } from 'zod';
import { CliError } from '../console.ts';

/**
 * A client of Fly's image registry: which digest a reference has, and pushing an OCI layout (OCI distribution specification 1.1).
 *
 * registry.fly.io takes any user name with a token of the organisation as the password (`fly auth docker` stores it so).
 */
export interface ImageReference {
  registry: string;
  repository: string;
  /** A tag or a digest. */
  reference: string;
}

const referencePattern = /^([a-z0-9.-]+(?::\d+)?)\/([a-z0-9._/-]+?)(?::([\w.-]+))?(?:@(sha256:[0-9a-f]{64}))?$/;

export function parseReference(text: string): ImageReference {
  const [, registry, repository, tag, digest] = referencePattern.exec(text) ?? [];
  if (registry === undefined || repository === undefined)
    throw new CliError(
      'usage',
      'image_reference',
      `${text} is no image reference: registry.fly.io/app@sha256:… or registry.fly.io/app:tag`,
    );
  return { registry, repository, reference: digest ?? tag ?? 'latest' };
}

const layoutIndex = z.object({ manifests: z.array(z.object({ digest: z.string(), mediaType: z.string() })).length(1) });
const manifestBody = z.object({
  config: z.object({ digest: z.string() }),
  layers: z.array(z.object({ digest: z.string(), size: z.number() })),
});
const manifestTypes = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.oci.image.index.v1+json',
];
const uploadLimitMs = 600_000;
const requestLimitMs = 30_000;

/** A registry on this machine speaks plain HTTP. */
const baseOf = (registry: string): string => `${/^(127\.|localhost)/.test(registry) ? 'http' : 'https'}://${registry}`;

export interface RegistryClient {
  /** @throws CliError when there is no such image */
  digestOf(image: ImageReference): Promise<string>;
  /** Pushes a layout's only image. @returns its digest */
  push(layoutDir: string, registry: string, repository: string): Promise<string>;
  /** Adds a tag to an image that is in the registry. */
  tag(registry: string, repository: string, digest: string, tag: string): Promise<void>;
}

export function createRegistryClient(token: string, progress: (line: string) => void): RegistryClient {
  const basic = `Basic ${Buffer.from(`x:${token}`).toString('base64')}`;
  const bearers = new Map<string, string>();

  /** Gets a token if the registry requires one instead of the password; its 401 answer says where. */
  async function bearerOf(challenge: string, repository: string): Promise<string | undefined> {
    const fields = Object.fromEntries(
      [...challenge.matchAll(/\b(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    );
    if (!/^bearer/i.test(challenge) || !fields.realm) return undefined;
    const url = new URL(fields.realm);
    if (fields.service) url.searchParams.set('service', fields.service);
    url.searchParams.set('scope', fields.scope ?? `repository:${repository}:pull,push`);
    const answer = await fetch(url, { headers: { authorization: basic }, signal: AbortSignal.timeout(requestLimitMs) });
    const body = (await answer.json().catch(() => ({}))) as { token?: string; access_token?: string };
    return body.token ?? body.access_token;
  }

  async function ask(registry: string, repository: string, url: string, make: () => RequestInit): Promise<Response> {
    const attempt = (authorization: string) => {
      const init = make();
      return fetch(new URL(url, baseOf(registry)), {
        signal: AbortSignal.timeout(requestLimitMs),
        ...init,
        headers: { ...init.headers, authorization },
      });
    };
    try {
      const first = await attempt(bearers.get(registry + repository) ?? basic);
      if (first.status !== 401) return first;
      const bearer = await bearerOf(first.headers.get('www-authenticate') ?? '', repository);
      if (bearer === undefined)
        throw new CliError(
          'notAllowed',
          'registry_refuses',
          `${registry} refuses FLY_API_TOKEN. It must be a token of the organisation that owns the app ${repository}.`,
        );
      bearers.set(registry + repository, `Bearer ${bearer}`);
      return await attempt(`Bearer ${bearer}`);
    } catch (error) {
      if (error instanceof CliError) throw error;
      throw new CliError('away', 'registry_away', `${registry} does not answer (${(error as Error).message}).`, {
        cause: error,
      });
    }
  }

  const refused = async (what: string, answer: Response): Promise<CliError> => {
    const text = (await answer.text()).slice(0, 300);
    const kind = answer.status === 401 || answer.status === 403 ? 'notAllowed' : 'failed';
    return new CliError(kind, 'registry', `${what}: the registry answered ${answer.status}: ${text}`);
  };

  async function pushBlob(registry: string, repository: string, file: string, digest: string): Promise<void> {
    const blobs = `/v2/${repository}/blobs`;
    const there = await ask(registry, repository, `${blobs}/${digest}`, () => ({ method: 'HEAD' }));
    if (there.status === 200) return;
    const begun = await ask(registry, repository, `${blobs}/uploads/`, () => ({ method: 'POST', body: '' }));
    const location = begun.headers.get('location');
    if (begun.status !== 202 || location === null) throw await refused(`Pushing to ${repository}`, begun);
    const url = new URL(location, baseOf(registry));
    url.searchParams.set('digest', digest);
    const size = statSync(file).size;
    progress(`pushing ${digest.slice(0, 19)}… (${(size / 1e6).toFixed(1)} MB)`);
    const put = await ask(registry, repository, url.href, () => ({
      method: 'PUT',
      body: Readable.toWeb(createReadStream(file)) as ReadableStream,
      headers: { 'content-type': 'application/octet-stream', 'content-length': String(size) },
      duplex: 'half',
      signal: AbortSignal.timeout(uploadLimitMs),
    }));
    if (put.status !== 201) throw await refused(`Pushing ${digest}`, put);
  }

  return {
    digestOf: async (image) => {
      const { registry, repository, reference } = image;
      const answer = await ask(registry, repository, `/v2/${repository}/manifests/${reference}`, () => ({
        method: 'HEAD',
        headers: { accept: manifestTypes.join(', ') },
      }));
      const digest = answer.headers.get('docker-content-digest');
      if (answer.status === 404 || answer.status === 403)
        throw new CliError(
          'notFound',
          'no_such_image',
          `There is no image ${registry}/${repository} ${reference}, or FLY_API_TOKEN may not read it. Push it first: greenroom deploy … --build, or skopeo copy.`,
        );
      if (answer.status !== 200 || digest === null)
        throw await refused(`Looking for ${repository} ${reference}`, answer);
      return digest;
    },
    push: async (layoutDir, registry, repository) => {
      const blobFile = (digest: string) => path.join(layoutDir, 'blobs', ...digest.split(':'));
      const { manifest, bytes } = readLayout(layoutDir, blobFile);
      for (const { digest } of [...manifest.layers, manifest.config])
        await pushBlob(registry, repository, blobFile(digest), digest);
      const put = await ask(registry, repository, `/v2/${repository}/manifests/${bytes.digest}`, () => ({
        method: 'PUT',
        body: new Uint8Array(bytes.content),
        headers: { 'content-type': bytes.mediaType },
      }));
      if (put.status !== 201) throw await refused(`Pushing the manifest of ${repository}`, put);
      return bytes.digest;
    },
    tag: async (registry, repository, digest, tag) => {
      const manifests = `/v2/${repository}/manifests`;
      const found = await ask(registry, repository, `${manifests}/${digest}`, () => ({
        headers: { accept: manifestTypes.join(', ') },
      }));
      if (found.status !== 200) throw await refused(`Reading ${repository} ${digest}`, found);
      const body = new Uint8Array(await found.arrayBuffer());
      const mediaType = found.headers.get('content-type') ?? (manifestTypes[0] as string);
      const put = await ask(registry, repository, `${manifests}/${tag}`, () => ({
        method: 'PUT',
        body,
        headers: { 'content-type': mediaType },
      }));
      if (put.status !== 201) throw await refused(`Tagging ${repository} ${tag}`, put);
    },
  };
}

/** The only image of an OCI layout. */
function readLayout(layoutDir: string, blobFile: (digest: string) => string) {
  try {
    const { manifests } = layoutIndex.parse(JSON.parse(readFileSync(path.join(layoutDir, 'index.json'), 'utf8')));
    const { digest, mediaType } = manifests[0] as { digest: string; mediaType: string };
    const content = readFileSync(blobFile(digest));
    return { manifest: manifestBody.parse(JSON.parse(content.toString())), bytes: { content, digest, mediaType } };
  } catch (error) {
    throw new CliError(
      'usage',
      'oci_layout',
      `${layoutDir} is no OCI layout with one image: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
