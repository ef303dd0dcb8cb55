import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { FastifyReply } from 'fastify';
import type { Caller } from './caller.ts';

/**
 * Reads whose answer is held until something happens (`Prefer: wait`). They do not count against the tenant's share of
 * the connections to the database, because they use none while they wait. Their number is limited instead.
 */
export const mostHeld = 200;
const maxWaitS = 60;

/** The seconds of `Prefer: wait=N`, at most 60. An invalid preference is ignored (RFC 7240). */
export function preferredWaitS(header: string | string[] | undefined): number {
  const found = /(?:^|[,;\s])wait="?(\d{1,6})"?(?:$|[,;\s])/i.exec([header ?? ''].flat().join(','))?.[1];
  return found === undefined ? 0 : Math.min(maxWaitS, Number(found));
}

/** Aborts when the client has left or the process stops: nobody needs the wait any more. */
export function endOfWait({ raw, request }: FastifyReply, stopping: AbortSignal): AbortSignal {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  if (stopping.aborted || raw.closed || request.raw.socket.destroyed) end();
  stopping.addEventListener('abort', end, { once: true });
  raw.once('close', () => {
    stopping.removeEventListener('abort', end);
    end();
  });
  return ended.signal;
}

/** @returns a function that runs a wait, and throws AppError rate_limited if the tenant already has too many. */
export function createHolds() {
  const held = new Map<string, number>();
  return async <T>({ tenantId }: Pick<Caller, 'tenantId'>, wait: () => Promise<T>): Promise<T> => {
    const now = held.get(tenantId) ?? 0;
    if (now >= mostHeld)
      throw new AppError('rate_limited', {
        detail: `The tenant already has ${mostHeld} requests that wait. Wait for their answers, or use webhooks.`,
        retryAfterS: 1,
      });
    held.set(tenantId, now + 1);
    try {
      return await wait();
    } finally {
      const left = (held.get(tenantId) ?? 1) - 1;
      if (left > 0) held.set(tenantId, left);
      else held.delete(tenantId);
    }
  };
}
