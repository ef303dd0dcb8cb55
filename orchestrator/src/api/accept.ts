import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { FastifyInstance } from 'fastify';
import { operations } from './operations.ts';

/**
 * Content negotiation. A read whose `Accept` header allows none of the forms that the route has is answered with 406.
 * Changes are not refused for the form of their answer: it is always JSON.
 */
interface Accepted {
  type: string;
  quality: number;
}

/** The media types of an Accept header, best first. Everything without a header. */
export const acceptedTypes = (header: string | undefined): string[] =>
  (header ?? '*/*')
    .split(',')
    .map((part): Accepted => {
      const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
      const quality = Number(parameters.find((p) => p.startsWith('q='))?.slice(2) ?? 1);
      return { type, quality: Number.isFinite(quality) ? quality : 0 };
    })
    .filter(({ quality }) => quality > 0)
    .toSorted((a, b) => b.quality - a.quality)
    .map(({ type }) => type);

/** Whether one of these types is allowed. */
export const allows = (header: string | undefined, offered: readonly string[]): boolean =>
  acceptedTypes(header).some(
    (type) => type === '*/*' || offered.some((one) => type === one || type === `${one.split('/')[0]}/*`),
  );

export const notAcceptable = (offered: readonly string[]): AppError =>
  new AppError('not_acceptable', {
    fields: [{ field: 'accept', message: `must allow ${offered.join(' or ')}` }],
  });

export function registerAccept(app: FastifyInstance): void {
  app.addHook('preValidation', async (request) => {
    const { url, method, schema } = request.routeOptions;
    if (request.method !== 'GET' || !url?.startsWith('/api/')) return;
    const { media = [] } = operations[`${[method].flat()[0]} ${url}`] ?? {};
    const offered = schema?.response === undefined && media.length > 0 ? media : ['application/json', ...media];
    if (!allows(request.headers.accept, offered)) throw notAcceptable(offered);
  });
}
