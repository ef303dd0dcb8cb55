import { type Benchmark, percentile } from './figures.ts';
import type { Asked } from './neighbours/client.ts';
import { neighboursWebhookMs } from './neighbours/webhooks.ts';
import { createNeighbours, type Neighbours } from './neighbours/world.ts';

/**
 * `bench neighbours`: what another tenant notices while one tenant attacks: 50 lists of its largest sessions and 10
 * transcripts at once without a pause, 400 streams of events, and strangers with large bodies and keys of their own making.
 * Measured are reads of one session of the other tenant, in turns with and without the attack. Then 200 webhook messages of the
 * attacker go to endpoints that never answer, and the other tenant waits for its own.
 */
const rounds = 10;
const perRound = 120;
const atOnce = 2;
const settleMs = 1_500;
/** The most statements one tenant may have under way in the database: shares.ts. */
const share = 2;

const ask = ({ ask: send }: Neighbours): Promise<Asked> => send({ requests: perRound, atOnce });

const join = (parts: Asked[]): Asked => ({
  tookMs: parts.flatMap(({ tookMs }) => tookMs),
  refused: parts.flatMap(({ refused }) => refused),
});
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Samples until told to stop; @returns the most that was seen. */
function watchMost(sample: () => Promise<number>): () => Promise<number> {
  let most = 0;
  let watching = true;
  const done = (async () => {
    while (watching) {
      most = Math.max(most, await sample());
      await pause(10);
    }
  })();
  return async () => {
    watching = false;
    await done;
    return most;
  };
}

export const neighbours: Benchmark = async (progress) => {
  const world = await createNeighbours();
  const [calm, attacked]: [Asked[], Asked[]] = [[], []];
  let statements = 0;
  let webhooks: Awaited<ReturnType<typeof neighboursWebhookMs>>;
  try {
    await ask(world);
    for (let n = 0; n < rounds; n += 1) {
      calm.push(await ask(world));
      await world.attack(true);
      await pause(settleMs);
      const most = watchMost(world.attackersStatements);
      attacked.push(await ask(world));
      statements = Math.max(statements, await most());
      const counts = await world.attack(false);
      await pause(settleMs);
      if (n === rounds - 1) progress(`the attacker was answered ${JSON.stringify(counts)}`);
    }
    webhooks = await neighboursWebhookMs(world);
    progress(`${webhooks.hanging} webhook messages of the attacker were under way`);
  } finally {
    await world.stop();
  }
  const [without, during] = [join(calm), join(attacked)];
  const [p50, p99] = [50, 99].map((p) => [percentile(without.tookMs, p), percentile(during.tookMs, p)] as const);
  return [
    {
      name: 'requests without attack',
      value: without.tookMs.length,
      unit: '',
      target: 1_000,
      atLeast: true,
      baseline: null,
    },
    {
      name: 'requests during attack',
      value: during.tookMs.length,
      unit: '',
      target: 1_000,
      atLeast: true,
      baseline: null,
    },
    { name: 'the other tenant, p50', value: p50![1], unit: 'ms', target: 2 * p50![0], baseline: p50![0] },
    { name: 'the other tenant, p99', value: p99![1], unit: 'ms', target: 2 * p99![0], baseline: p99![0] },
    { name: 'requests of the other tenant refused', value: during.refused.length, unit: '', target: 0, baseline: null },
    { name: 'statements of the attacker at once', value: statements, unit: '', target: share, baseline: null },
    {
      name: 'webhook without attack, slowest of five',
      ...{ value: Math.max(...webhooks.calmMs), unit: 'ms', target: null, baseline: null },
    },
    {
      name: 'webhook while 200 of the attacker hang, slowest of ten',
      ...{ value: Math.max(...webhooks.tookMs), unit: 'ms', target: 3_000, baseline: Math.max(...webhooks.calmMs) },
    },
  ];
};
