import { json } from './http.ts';

/**
 * `GET` of a function: whether it can do its work, for `doctor`, metrics and alerts.
 *
 * It asks for no credential, writes nothing and says nothing about anybody. What it finds counts for some seconds: so whoever
 * asks often costs the database and the orchestrators no more than one question in that time.
 */
export const version = '0.1.0';

export type Condition = 'ok' | 'unavailable' | 'not_used';

export interface Health {
  ok: boolean;
  version: string;
  database: Condition;
  orchestrator: Condition;
}

/** What a function needs; a check that rejects, or answers false, is unavailable. */
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
