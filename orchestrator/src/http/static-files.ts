import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';

/**
 * Serves the files of one folder. The build writes a `.br` and a `.gz` version beside each file, so nothing is compressed while
 * serving. Browsers may keep files whose names contain a hash of the content for ever.
 */
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.map': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
};

const encodings = [
  { encoding: 'br', ending: '.br' },
  { encoding: 'gzip', ending: '.gz' },
] as const;
/** Matches file names that contain a hash of the content. */
const hashed = /-[A-Za-z0-9]{8}\.(?:js|css)$/;
const forEver = 'public, max-age=31536000, immutable';

/** The parameters of a route that ends in `*`. No segment begins with a dot, so a path cannot leave the folder or name a hidden file. */
export const assetPath = z.object({ '*': z.string().regex(/^(?:[\w-][\w.-]*\/)*[\w-][\w.-]*$/) });

/**
 * @param headers of every answer
 * @returns sends a file in the best encoding that the browser accepts. Throws AppError not_found.
 */
export function createStaticFiles(dir: string, headers: Record<string, string>) {
  const read = (name: string) => readFile(path.join(dir, name)).catch(() => undefined);
  const readBest = async (name: string, accepted: string) => {
    for (const { encoding, ending } of encodings) {
      const file = accepted.includes(encoding) ? await read(`${name}${ending}`) : undefined;
      if (file) return { file, encoding };
    }
    const file = await read(name);
    return file && { file, encoding: undefined };
  };
  return async (request: FastifyRequest, reply: FastifyReply, name: string): Promise<FastifyReply> => {
    const type = types[path.extname(name)];
    const found = type === undefined ? undefined : await readBest(name, request.headers['accept-encoding'] ?? '');
    if (found === undefined || type === undefined) throw new AppError('not_found', { detail: 'No such page.' });
    if (found.encoding) reply.header('content-encoding', found.encoding);
    return reply
      .headers({ ...headers, vary: 'accept-encoding', 'cache-control': hashed.test(name) ? forEver : 'no-cache' })
      .type(type)
      .send(found.file);
  };
}
