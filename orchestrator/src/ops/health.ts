import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';

/**
 * `/healthz`: this process lives. `/readyz`: it can do its work; 503 names the check that failed.
 * A check's answer is kept for a moment, so that a probe from everywhere costs the outside world little.
 */
export interface Check {
  name: string;
  /** Throws or answers false when it fails. */
  run(): Promise<boolean>;
  /** How long its answer is good for. */
  freshMs: number;
}

export interface HealthDeps {
  checks: Check[];
  clock: Clock;
  isStopping: () => boolean;
}

function remembered({ run, freshMs }: Check, clock: Clock): () => Promise<boolean> {
  let last: Promise<boolean> | undefined;
  let untilMs = 0;
  return () => {
    if (last === undefined || clock.monotonicMs() >= untilMs) {
      untilMs = clock.monotonicMs() + freshMs;
      last = run().catch(() => false);
      // A failure is looked at again at once: readiness should not lag behind a recovery.
      void last.then((ok) => {
        if (!ok) last = undefined;
      });
    }
    return last;
  };
}

export function healthRoutes({ checks, clock, isStopping }: HealthDeps): FastifyPluginAsyncZod {
  const probes = checks.map((check) => ({ name: check.name, probe: remembered(check, clock) }));
  return async (app) => {
    app.get('/healthz', { schema: { hide: true }, logLevel: 'silent' }, async () => ({ status: 'ok' }));
    app.get('/readyz', { schema: { hide: true }, logLevel: 'silent' }, async (_request, reply) => {
      const results = await Promise.all(probes.map(async ({ name, probe }) => [name, await probe()] as const));
      const failed = [
        ...results.filter(([, ok]) => !ok).map(([name]) => name),
        ...(isStopping() ? ['shutting_down'] : []),
      ];
      return reply
        .code(failed.length === 0 ? 200 : 503)
        .send({ status: failed.length === 0 ? 'ready' : 'not_ready', failed, checks: Object.fromEntries(results) });
    });
  };
}
