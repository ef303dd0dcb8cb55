import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { vital } from '../access/pressure.ts';

/**
 * `/healthz`: this process lives. `/readyz`: it takes requests; 503 names what of its own is missing.
 *
 * R1  Readiness looks only at this process. Fly's proxy routes to nobody who is not ready, so a dependency that is away
 *     everywhere would take every orchestrator from the candidates of live interviews. What is away is named under
 *     `degraded` and does not change the status.
 * R2  No answer waits for a dependency longer than `patienceMs`; then `checks` tells what was found last, `null` before
 *     anything was found.
 */
export interface Check {
  name: string;
  /** Throws or answers false when it fails. */
  run(): Promise<boolean>;
  /** A finding is looked for again after this, ms; a failure after `retryMs`. */
  freshMs: number;
}

export interface HealthDeps {
  /** What of this process's own must be there. */
  own: Array<{ name: string; isThere(): boolean }>;
  /** What it depends on. */
  checks: Check[];
  clock: Clock;
  isStopping: () => boolean;
}

const retryMs = 500;
const patienceMs = 250;

/** R2. @returns what was found last; looks again when that is old. */
function remembered({ run, freshMs }: Check, clock: Clock): () => Promise<boolean | null> {
  let last: boolean | null = null;
  let dueMs = Number.NEGATIVE_INFINITY;
  const look = async (): Promise<void> => {
    dueMs = Number.POSITIVE_INFINITY;
    last = await run().catch(() => false);
    dueMs = clock.monotonicMs() + (last ? freshMs : retryMs);
  };
  return async () => {
    if (clock.monotonicMs() < dueMs) return last;
    await new Promise<void>((resolve) => {
      const patience = clock.setTimer(resolve, patienceMs);
      void look().then(() => {
        patience.cancel();
        resolve();
      });
    });
    return last;
  };
}

export function healthRoutes({ own, checks, clock, isStopping }: HealthDeps): FastifyPluginAsyncZod {
  const probes = checks.map((check) => ({ name: check.name, probe: remembered(check, clock) }));
  return async (app) => {
    app.get('/healthz', { config: vital, schema: { hide: true }, logLevel: 'silent' }, async () => ({ status: 'ok' }));
    app.get('/readyz', { config: vital, schema: { hide: true }, logLevel: 'silent' }, async (_request, reply) => {
      const failed = own.filter(({ isThere }) => !isThere()).map(({ name }) => name);
      if (isStopping()) failed.push('shutting_down');
      const found = await Promise.all(probes.map(async ({ name, probe }) => [name, await probe()] as const));
      return reply.code(failed.length === 0 ? 200 : 503).send({
        status: failed.length === 0 ? 'ready' : 'not_ready',
        failed,
        degraded: found.filter(([, ok]) => ok === false).map(([name]) => name),
        checks: Object.fromEntries(found),
      });
    });
  };
}
