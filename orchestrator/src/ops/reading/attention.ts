import { startBudgetsMs } from '@greenroom/shared/protocol/operators.ts';
import { sessionReasons } from '@greenroom/shared/session/reasons.ts';
import type { OpsOverview } from '../../database/operator-store.ts';

/**
 * What needs an operator now. Pure: the same figures give the same list, the most urgent first.
 *
 * Each item says what is wrong and what it does to candidates, names its runbook, and links to the list that shows it.
 */
export interface Attention {
  code: string;
  urgent: boolean;
  sentence: string;
  /** Below the dashboard's root. */
  link: string;
  /** File in docs/runbooks; null if there is none. */
  runbook: string | null;
  /** The region that it concerns, if it is one. */
  region?: string;
}

type Item = Attention | false;

const s = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

/** Failures that are not the candidate's: a call may also fail because of the candidate's own network. */
const ours = new Set(
  Object.entries(sessionReasons)
    .filter(([reason, { outcome }]) => outcome === 'failed' && reason !== 'call_not_established')
    .map(([reason]) => reason),
);
const budgetsMs: Record<string, number> = startBudgetsMs;

const item = (code: string, urgent: boolean, sentence: string, link: string, runbook: string | null): Attention => ({
  ...{ code, urgent, sentence, link, runbook },
});

function ofMachines(o: OpsOverview): Item[] {
  const held = o.brake_holds.reduce((sum, { ends }) => sum + ends, 0);
  return [
    held > 0 &&
      item(
        'brake_holds',
        true,
        `The brake holds: ${s(held, 'machine')} would be ended. Look at the list before you release it.`,
        '/work',
        'BrakeHolds',
      ),
    o.unwanted > 0 &&
      item(
        'unwanted',
        true,
        `${s(o.unwanted, 'machine')} should be gone by now and still cost money.`,
        '/machines?unwanted=true',
        'OrphanMachine',
      ),
    o.duties_without_holder > 0 &&
      item(
        'duties',
        true,
        `${s(o.duties_without_holder, 'duty', 'duties')} without a holder: no orchestrator reconciles these machines.`,
        '/',
        'DutyWithoutHolder',
      ),
  ];
}

function ofStarts(o: OpsOverview): Item[] {
  const failed = o.ended.filter(({ reason }) => ours.has(reason)).reduce((sum, { count }) => sum + count, 0);
  const slow = o.starts.filter(
    ({ path, p95_ms, starts }) => starts >= 5 && p95_ms > (budgetsMs[path] ?? startBudgetsMs.cold),
  );
  return [
    failed > 0 &&
      item(
        'failed',
        failed > 3,
        `${s(failed, 'interview')} of the last hour failed through no fault of the candidate.`,
        '/sessions?status=failed',
        'StartsFailing',
      ),
    ...slow.map(({ path, p95_ms }) =>
      item(
        'slow_starts',
        false,
        `${path.charAt(0).toUpperCase()}${path.slice(1)} starts are slow: 1 in 20 took longer than ${(p95_ms / 1_000).toFixed(1)} s.`,
        `/sessions?sort=start&path=${path}`,
        'StartsBurning',
      ),
    ),
    o.create_backlog_s > 10 &&
      item(
        'create_backlog',
        true,
        `New machines wait ${Math.round(o.create_backlog_s)} s for Fly's create limit. Raise the pools.`,
        '/next-hour',
        'StartsBurning',
      ),
  ];
}

function ofRest(o: OpsOverview): Item[] {
  const dead = o.work.reduce((sum, { dead: count }) => sum + count, 0);
  const below = o.pools.filter(({ floor, ready }) => ready < floor);
  return [
    o.unsaved_entries > 200 &&
      item(
        'unsaved',
        true,
        `${o.unsaved_entries} transcript entries are not stored yet.`,
        '/machines?alive=true',
        'EntriesUnsaved',
      ),
    ...below.map(({ region, floor, ready }) =>
      item(
        'pool',
        false,
        `The pools in ${region} have ${ready} of ${s(floor, 'standby machine')}.`,
        `/pools?region=${region}`,
        'PoolBelowTarget',
      ),
    ),
    dead > 0 &&
      item(
        'dead_work',
        false,
        `${s(dead, 'piece of work was', 'pieces of work were')} given up. Retry, or leave it.`,
        '/work?state=dead',
        'WorkDead',
      ),
    o.webhooks_failing > 0 &&
      item('webhooks', false, `Deliveries to ${s(o.webhooks_failing, 'webhook')} fail.`, '/work?kind=webhook', null),
    ...o.drains.map(({ region, why }) => ({
      ...item('drained', false, `${region} is drained: ${why}`, '/regions', null),
      region,
    })),
    o.orchestrators < 2 &&
      item(
        'orchestrators',
        false,
        `${s(o.orchestrators, 'orchestrator')} alive; two are needed to survive a loss.`,
        '/',
        null,
      ),
  ];
}

export const attentionOf = (overview: OpsOverview): Attention[] =>
  [...ofMachines(overview), ...ofStarts(overview), ...ofRest(overview)]
    .filter((one): one is Attention => one !== false)
    .toSorted((a, b) => Number(b.urgent) - Number(a.urgent));
