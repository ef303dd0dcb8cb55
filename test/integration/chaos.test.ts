import { expect, test } from 'vitest';
import { planFaults, runCampaign } from '../../tools/chaos/campaign.ts';
import { faultKinds } from '../../tools/chaos/faults.ts';
import { createRandom } from '../../tools/chaos/random.ts';

test('the plan uses every kind of failure once before it repeats one', () => {
  const kinds = Object.keys(faultKinds);
  const names = planFaults(createRandom(1), 60_000).map(({ name }) => name);
  expect(names.slice(0, kinds.length).toSorted()).toEqual(kinds.toSorted());
});

test('the same seed plans the same failures, and another seed plans others', () => {
  const plan = (seed: number) => planFaults(createRandom(seed), 20_000);
  expect(plan(7)).toEqual(plan(7));
  expect(plan(7)).not.toEqual(plan(8));
});

test('interviews continue while orchestrators, workers, hosts, Postgres and Fly fail, and no data is lost or duplicated', async () => {
  const lines: string[] = [];
  const report = await runCampaign({ seed: 1, sessions: 10, durationMs: 40_000, log: (line) => lines.push(line) });
  expect(report, lines.join('\n')).toMatchObject({
    violations: [],
    duplicates: 0,
    orphans: 0,
    stuck: 0,
    lost_entries: 0,
  });
  expect(Object.keys(report.faults).length).toBeGreaterThan(15);
}, 900_000);
