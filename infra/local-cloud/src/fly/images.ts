/**
 * The images from which machines can be created: a command that runs as a process, a function that runs
 * inside this process (for benchmarks with hundreds of machines), or an image that was pushed to the
 * registry.
 */
import { createHash } from 'node:crypto';
import type { PushedImage, Registry } from '../registry/registry.ts';
import { apiError } from './api-error.ts';
import type { InProcessGuest } from './runtime.ts';

export type ImageDefinition = (
  | { /** argv; plays the part of ENTRYPOINT. */ command: string[] }
  | {
      inProcess: InProcessGuest;
      /** Open the per-machine API socket for it. Default true. */
      apiSocket?: boolean;
    }
  | { pushed: PushedImage }
) & {
  /** `sha256:…`; derived from the reference when omitted. */
  digest?: string;
  /** The image's environment variables; every other source overrides them. */
  env?: Record<string, string>;
};

export interface ImageRef {
  registry: string;
  repository: string;
  tag?: string;
  digest: string;
  labels: Record<string, string>;
}

export interface Image {
  readonly ref: ImageRef;
  readonly definition: ImageDefinition;
}

interface ParsedRef {
  registry: string;
  repository: string;
  tag: string | undefined;
  digest: string | undefined;
}

/** `registry.fly.io/worker:v1@sha256:…`; a reference without a registry means Docker Hub. */
export function parseImageRef(reference: string): ParsedRef {
  const [path = '', digest] = reference.split('@');
  const slash = path.indexOf('/');
  const host = slash > 0 ? path.slice(0, slash) : '';
  const hasRegistry = /[.:]/.test(host) || host === 'localhost';
  const rest = hasRegistry ? path.slice(slash + 1) : path;
  const [repository = '', tag] = rest.split(':');
  return { registry: hasRegistry ? host : 'docker-hub-mirror.fly.io', repository, tag, digest };
}

const digestOf = (reference: string) => `sha256:${createHash('sha256').update(reference).digest('hex')}`;

export interface Images {
  register(reference: string, definition: ImageDefinition): void;
  /** Throws MANIFEST_UNKNOWN when no such image was registered. */
  resolve(reference: string): Image;
}

/** @param registry is asked for images that are not registered here */
export function createImages(registry?: Pick<Registry, 'host' | 'find'>): Images {
  const images: Array<{ parsed: ParsedRef; digest: string; definition: ImageDefinition }> = [];

  const matches = (wanted: ParsedRef, image: (typeof images)[number]) =>
    wanted.registry === image.parsed.registry &&
    wanted.repository === image.parsed.repository &&
    (wanted.digest !== undefined
      ? wanted.digest === image.digest
      : (wanted.tag ?? 'latest') === (image.parsed.tag ?? 'latest'));

  function pushedImage(wanted: ParsedRef): Pick<(typeof images)[number], 'digest' | 'definition'> | undefined {
    if (wanted.registry !== registry?.host) return undefined;
    const pushed = registry.find(wanted.repository, wanted.digest ?? wanted.tag ?? 'latest');
    return pushed === undefined ? undefined : { digest: pushed.digest, definition: { pushed } };
  }

  return {
    register: (reference, definition) => {
      const parsed = parseImageRef(reference);
      const digest = definition.digest ?? parsed.digest ?? digestOf(reference);
      // The newest registration of a tag wins, as with a push; older digests stay available.
      images.unshift({ parsed, digest, definition });
    },
    resolve: (reference) => {
      const wanted = parseImageRef(reference);
      const found = images.find((image) => matches(wanted, image)) ?? pushedImage(wanted);
      if (!found) throw apiError(400, `failed to get manifest ${reference}: MANIFEST_UNKNOWN: manifest unknown`);
      const ref: ImageRef = {
        registry: wanted.registry,
        repository: wanted.repository,
        digest: found.digest,
        labels: {},
      };
      if (wanted.tag !== undefined) ref.tag = wanted.tag;
      return { ref, definition: found.definition };
    },
  };
}
