import { z } from 'zod';

/**
 * Whether a deployment can do its work, asked of the outside world before anybody needs it.
 *
 * D1  A finding says what was looked at, how it is, and what to do. No key and no answer's body is in it.
 * D2  `warn` works today; `fail` does not; `unknown` cannot be asked from here, and says how to find out.
 */
export interface Finding {
  check: string;
  status: 'ok' | 'warn' | 'fail' | 'unknown';
  detail: string;
}

export interface DoctorDeps {
  /** `GET /models` with the deployment's key. Status 0: no answer. */
  models(): Promise<{ status: number; body: unknown }>;
  /** What each configured model is for → its name. */
  wanted: Record<string, string>;
  /** Azure's names are those of deployments: no list tells of them. */
  provider: 'openai' | 'azure';
  flyReachable(): Promise<boolean>;
  flyOrg: string;
  databaseReachable(): Promise<boolean>;
  /** Unix ms. */
  now(): number;
}

const soonMs = 90 * 86_400_000;
const modelList = z.object({ data: z.array(z.object({ id: z.string(), shutdown_date: z.string().nullish() })) });

/** What is to be said of a model that the provider lists. @param shutdown `YYYY-MM-DD`, as announced. */
export function judgeModel(check: string, name: string, shutdown: string | null | undefined, now: number): Finding {
  if (shutdown == null) return { check, status: 'ok', detail: `${name}: no shutdown is announced.` };
  const leftMs = Date.parse(shutdown) - now;
  if (Number.isNaN(leftMs))
    return { check, status: 'warn', detail: `${name}: a shutdown is announced, its date cannot be read.` };
  if (leftMs <= 0) return { check, status: 'fail', detail: `${name} was shut down on ${shutdown}: configure another.` };
  const detail = `${name} is shut down on ${shutdown}, in ${Math.ceil(leftMs / 86_400_000)} days: configure another.`;
  return { check, status: leftMs < soonMs ? 'warn' : 'ok', detail };
}

async function examineModels({ models, wanted, provider, now }: DoctorDeps): Promise<Finding[]> {
  const { status, body } = await models();
  const key = 'voice provider key';
  if (status === 401 || status === 403)
    return [{ check: key, status: 'fail', detail: 'The voice provider refuses the key: set OPENAI_API_KEY.' }];
  const list = modelList.safeParse(body);
  if (status !== 200 || !list.success)
    return [{ check: key, status: 'fail', detail: `The voice provider does not list its models (status ${status}).` }];
  const known = new Map(list.data.data.map((model) => [model.id, model.shutdown_date]));
  const accepted: Finding = { check: key, status: 'ok', detail: 'The voice provider accepts the key.' };
  const judged = Object.entries(wanted).map(([what, name]): Finding => {
    if (known.has(name)) return judgeModel(what, name, known.get(name), now());
    return provider === 'azure'
      ? {
          check: what,
          status: 'unknown',
          detail: `${name} is a deployment: see its model's retirement in Azure's portal.`,
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

/** All findings, in a fixed order. Never throws for what is found. */
export async function examine(deps: DoctorDeps): Promise<Finding[]> {
  const [models, fly, database] = await Promise.all([
    examineModels(deps),
    reach('fly', 'Fly', deps.flyReachable),
    reach('database', 'Supabase', deps.databaseReachable),
  ]);
  const replay: Finding = {
    check: 'cross-network replay',
    status: 'unknown',
    detail: `Fly does not tell. An organisation's admin runs once: fly orgs cross-network-replays enable --org ${deps.flyOrg}`,
  };
  return [...models, fly, replay, database];
}

export const isHealthy = (findings: Finding[]): boolean => findings.every(({ status }) => status !== 'fail');
