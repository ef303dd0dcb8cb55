import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { vital } from '../access/pressure.ts';

/**
 * `/healthz`: the process runs. `/readyz`: it accepts requests; a 503 names the missing part of this process.
 *
 * - Readiness depends on this process only. Fly's proxy does not route to an orchestrator that is not ready. If readiness included
 *   dependencies, an outage of one dependency would cut all live interviews off from all orchestrators. Unreachable dependencies
 *   are listed under `degraded` and do not change the status.
 * - An answer waits at most `patienceMs` for a dependency. After that, `checks` has the last result, or `null` if there is none.
 */
export interface Check {
  name: string;
  /** Throws, or resolves with false, if it fails. */
  run(): Promise<boolean>;
  /** A result is checked again after this time, ms; a failure after `retryMs`. */
  freshMs: number;
}

export interface HealthDeps {
  /** Required parts of this process. */
  own: Array<{ name: string; isThere(): boolean }>;
  /** Services that it depends on. */
  checks: Check[];
  clock: Clock;
  isStopping: () => boolean;
}

const retryMs = 500;
const patienceMs = 250;

/** @returns the last result; starts a new check if it is old. */
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
