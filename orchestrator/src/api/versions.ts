import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { callerOf } from '../access/route-access.ts';
import { operations } from './operations.ts';

/**
 * Versions of the platform API. A version is a date; an incompatible change makes a new one.
 *
 * - The code knows the newest version only. A past version is a pair of transforms: they bring a request up to the next
 *   version, and an answer back. A request of an old version passes the transforms of all versions since.
 * - An API key is pinned to the newest version at its creation. `Greenroom-Version` names another for one request. Users
 *   get the newest.
 * - Answers of a past version say so: `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and a link to what has changed.
 */
export const newestVersion = '2026-11-27';
export const versionHeader = 'greenroom-version';

/** What differs from the version after it. An operation is named by its id in the document. */
export interface PastVersion {
  version: string;
  /** When it was replaced, and from when on it is no longer answered. */
  deprecatedAt: Date;
  sunsetAt: Date;
  /** Where the changes are described. */
  guide: string;
  request?: (operation: string, body: unknown) => unknown;
  answer?: (operation: string, body: unknown) => unknown;
}

const versions = new WeakMap<FastifyRequest, string>();

/** The version that a request gets. */
export const versionOf = (request: FastifyRequest): string => versions.get(request) ?? newestVersion;

const pinned = (request: FastifyRequest): string | null =>
  request.routeOptions.config.access?.kind === 'caller' ? callerOf(request).apiVersion : null;

/** @param past in the order of time. Throws AppError unsupported_version for any other version. */
export function registerVersions(app: FastifyInstance, past: readonly PastVersion[]): void {
  const supported = [...past.map(({ version }) => version), newestVersion];
  const operationOf = ({ method, routeOptions: { url } }: FastifyRequest): string | undefined =>
    operations[`${method} ${url}`]?.id;
  /** The versions between that of the request and the newest, oldest first. */
  const between = (request: FastifyRequest) => past.slice(supported.indexOf(versionOf(request)));

  const announce = (request: FastifyRequest, reply: FastifyReply): void => {
    const version = versionOf(request);
    reply.header(versionHeader, version);
    const old = past.find((one) => one.version === version);
    if (old === undefined) return;
    reply.headers({
      deprecation: `@${Math.floor(old.deprecatedAt.getTime() / 1_000)}`,
      sunset: old.sunsetAt.toUTCString(),
      link: `<${old.guide}>; rel="deprecation"; type="text/html"`,
    });
  };

  app.addHook('preValidation', async (request, reply) => {
    const operation = operationOf(request);
    if (operation === undefined) return;
    const version = [request.headers[versionHeader] ?? []].flat()[0] ?? pinned(request) ?? newestVersion;
    if (!supported.includes(version))
      throw new AppError('unsupported_version', {
        fields: [{ field: versionHeader, message: `must be ${supported.join(' or ')}` }],
      });
    versions.set(request, version);
    announce(request, reply);
    for (const { request: bringUp } of between(request))
      if (bringUp && request.body !== undefined) request.body = bringUp(operation, request.body);
  });
  app.addHook('preSerialization', async (request, reply, payload) => {
    const operation = operationOf(request);
    if (operation === undefined || reply.statusCode >= 400) return payload;
    return between(request).reduceRight((body, { answer }) => (answer ? answer(operation, body) : body), payload);
  });
}
