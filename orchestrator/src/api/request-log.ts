import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Asker } from '../access/authenticate.ts';
import type { AnsweredRequest, RequestStore } from '../database/request-store.ts';
import type { Job } from '../runtime/ticker.ts';
import { codeOf } from './problems.ts';

/**
 * The request log of each tenant (`GET /api/requests`): a line for each answered request of its keys and users, also of those
 * that were refused.
 *
 * - No answer waits for it: the lines of a second are stored together (docs/adr/0022-a-request-log.md).
 * - It is a help, not a record: lines that cannot be stored, and those above the limits, are dropped and counted in a log line.
 */
export interface RequestLogDeps {
  record: RequestStore['record'];
  clock: Clock;
  logger: Logger;
}

export interface RequestLog {
  note(asker: Asker, request: FastifyRequest, reply: FastifyReply): void;
  /** Stores the lines that wait. */
  flush(): Promise<void>;
  jobs: Job[];
}

const everyMs = 1_000;
/** Lines of one batch. So many requests of a tenant in a second are a burst; its rate limit allows a tenth of them for long. */
export const mostLines = { tenant: 2_000, inAll: 5_000 };

/** The column is an integer, and one line that does not fit would cost the whole batch: an event stream may last for weeks. */
const longestMs = 2_147_483_647;

const templates = new Map<string, string>();
/** The path of a route as the OpenAPI document writes it. */
function templateOf(url: string): string {
  const known = templates.get(url);
  if (known !== undefined) return known;
  const made = url.replaceAll(/:(\w+)/g, '{$1}');
  templates.set(url, made);
  return made;
}

export function createRequestLog({ record, clock, logger }: RequestLogDeps): RequestLog {
  let lines: AnsweredRequest[] = [];
  let ofTenant = new Map<string, number>();
  let dropped = 0;

  const flush = async (): Promise<void> => {
    const batch = lines;
    const count = dropped;
    [lines, ofTenant, dropped] = [[], new Map(), 0];
    if (count > 0) logger.warn({ count }, 'more requests than the request log takes; some are missing in it');
    if (batch.length === 0) return;
    await record(batch).catch((error: unknown) =>
      logger.warn(
        { count: batch.length, error },
        'could not store requests in the request log; they are missing in it',
      ),
    );
  };

  return {
    note: ({ tenantId, actor }, request, reply) => {
      const already = ofTenant.get(tenantId) ?? 0;
      if (already >= mostLines.tenant || lines.length >= mostLines.inAll) {
        dropped += 1;
        return;
      }
      ofTenant.set(tenantId, already + 1);
      lines.push({
        ...{ tenant_id: tenantId, actor, request_id: request.id, method: request.method },
        path: templateOf(request.routeOptions.url ?? ''),
        ...{ status: reply.statusCode, code: codeOf(reply) ?? null },
        took_ms: Math.min(longestMs, Math.round(reply.elapsedTime)),
        created_at: new Date(clock.now()).toISOString(),
      });
    },
    flush,
    jobs: [{ name: 'request-log', everyMs, run: flush }],
  };
}
