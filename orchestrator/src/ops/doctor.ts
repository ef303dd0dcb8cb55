import { z } from 'zod';

/**
 * Checks the outside services of a deployment before a candidate needs them.
 *
 * - A finding says what was checked, its state and what to do. It contains no key and no body of an answer.
 * - `warn`: works today, needs attention. `fail`: does not work. `unknown`: cannot be checked from here; says how to check it.
 */
export interface Finding {
  check: string;
  status: 'ok' | 'warn' | 'fail' | 'unknown';
  detail: string;
}

export interface DoctorDeps {
  /** `GET /models` with the deployment's key. Status 0: no answer. */
  models(): Promise<{ status: number; body: unknown }>;
  /** The purpose of each configured model, and its name. */
  wanted: Record<string, string>;
  /** On Azure these are names of deployments, which no list contains. */
  provider: 'openai' | 'azure';
  flyReachable(): Promise<boolean>;
  flyOrg: string;
  databaseReachable(): Promise<boolean>;
  /** Unix ms. */
  now(): number;
}

const soonMs = 90 * 86_400_000;
const modelList = z.object({ data: z.array(z.object({ id: z.string(), shutdown_date: z.string().nullish() })) });

/** The finding about a model that the provider lists. @param shutdown announced date, `YYYY-MM-DD`. */
export function judgeModel(check: string, name: string, shutdown: string | null | undefined, now: number): Finding {
  if (shutdown == null) return { check, status: 'ok', detail: `${name}: no shutdown announced.` };
  const leftMs = Date.parse(shutdown) - now;
  if (Number.isNaN(leftMs))
    return { check, status: 'warn', detail: `${name}: a shutdown is announced, but its date is not readable.` };
  if (leftMs <= 0)
    return { check, status: 'fail', detail: `${name} was shut down on ${shutdown}. Configure another model.` };
  const detail = `${name} will be shut down on ${shutdown}, in ${Math.ceil(leftMs / 86_400_000)} days. Configure another model.`;
  return { check, status: leftMs < soonMs ? 'warn' : 'ok', detail };
}

async function examineModels({ models, wanted, provider, now }: DoctorDeps): Promise<Finding[]> {
  const { status, body } = await models();
  const key = 'voice provider key';
  if (status === 401 || status === 403)
    return [{ check: key, status: 'fail', detail: 'The voice provider refuses the key. Set OPENAI_API_KEY.' }];
  const list = modelList.safeParse(body);
  if (status !== 200 || !list.success)
    return [{ check: key, status: 'fail', detail: `The voice provider did not list its models (status ${status}).` }];
  const known = new Map(list.data.data.map((model) => [model.id, model.shutdown_date]));
  const accepted: Finding = { check: key, status: 'ok', detail: 'The voice provider accepts the key.' };
  const judged = Object.entries(wanted).map(([what, name]): Finding => {
    if (known.has(name)) return judgeModel(what, name, known.get(name), now());
    return provider === 'azure'
      ? {
          check: what,
          status: 'unknown',
          detail: `${name} is a deployment. Check the retirement date of its model in Azure's portal.`,
        }
      : { check: what, status: 'fail', detail: `The voice provider has no model ${name} for this key.` };
  });
  return [accepted, ...judged];
}

const reach = async (check: string, name: string, probe: () => Promise<boolean>): Promise<Finding> => {
  const ok = await probe().catch(() => false);
  return {
    check,
    status: ok ? 'ok' : 'fail',
    detail: `${name} ${ok ? 'answers and accepts our token.' : 'does not answer as it should.'}`,
  };
};

/** All findings, in a fixed order. A failed check is a finding, not an exception. */
export async function examine(deps: DoctorDeps): Promise<Finding[]> {
  const [models, fly, database] = await Promise.all([
    examineModels(deps),
    reach('fly', 'Fly', deps.flyReachable),
    reach('database', 'Supabase', deps.databaseReachable),
  ]);
  const replay: Finding = {
    check: 'cross-network replay',
    status: 'unknown',
    detail: `Not readable from here. An admin of the organisation must run once: fly orgs cross-network-replays enable --org ${deps.flyOrg}`,
  };
  return [...models, fly, replay, database];
}

export const isHealthy = (findings: Finding[]): boolean => findings.every(({ status }) => status !== 'fail');
