import { json } from './http.ts';

/**
 * Answers `GET` of a function: whether the function can do its work. Used by `doctor`, metrics and alerts.
 *
 * It needs no credential, writes nothing and returns no personal data. The result is cached for 5 s, so that
 * frequent requests do not load the database and the orchestrators.
 */
export const version = '0.1.0';

export type Condition = 'ok' | 'unavailable' | 'not_used';

export interface Health {
  ok: boolean;
  version: string;
  database: Condition;
  orchestrator: Condition;
}

/** Checks of what a function needs. A check that rejects or returns false means `unavailable`. */
export interface Needs {
  database?: () => Promise<boolean>;
  orchestrator?: () => Promise<boolean>;
}

const keptMs = 5_000;

export function createHealth(needs: Needs, now: () => number = Date.now): () => Promise<Response> {
  let known: { health: Promise<Health>; untilMs: number } | undefined;
  const conditionOf = async (check: (() => Promise<boolean>) | undefined): Promise<Condition> => {
    if (!check) return 'not_used';
    return (await check().catch(() => false)) ? 'ok' : 'unavailable';
  };
  const look = async (): Promise<Health> => {
    const [database, orchestrator] = await Promise.all([conditionOf(needs.database), conditionOf(needs.orchestrator)]);
    return { ok: database !== 'unavailable' && orchestrator !== 'unavailable', version, database, orchestrator };
  };
  return async () => {
    if (!known || known.untilMs <= now()) known = { health: look(), untilMs: now() + keptMs };
    const health = await known.health;
    return json(health.ok ? 200 : 503, health);
  };
}

/** Whether an orchestrator answers at this URL. */
export const answers =
  (url: string, send: typeof fetch = fetch) =>
  async (): Promise<boolean> => {
    const answer = await send(`${url}/healthz`, { signal: AbortSignal.timeout(3_000) });
    await answer.body?.cancel();
    return answer.status === 200;
  };
