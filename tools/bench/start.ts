import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { startCandidate } from '../demo/interview.ts';
import { createPlatform } from '../demo/platform.ts';
import { startStack } from '../stack/stack.ts';
import { hotInTurn } from './burst/hot.ts';
import { overhead } from './burst/overhead.ts';
import { type Benchmark, type Figure, median, percentile } from './figures.ts';

/**
 * `bench start`: time from the platform's POST to its answer and to the candidate's open socket, with a Fly stand-in without
 * latency; the time that we add to Fly's, with the documented latency; and hot machines beside standby ones.
 */
const runs = 15;

async function bareNode(): Promise<number> {
  const startedMs = performance.now();
  await once(spawn(process.execPath, ['-e', ''], { stdio: 'ignore', env: {} }), 'exit');
  return performance.now() - startedMs;
}

export const start: Benchmark = async (progress) => [
  ...(await withoutFly(progress)),
  ...(await overhead(progress)),
  ...(await hotInTurn(progress)),
];

async function withoutFly(progress: (line: string) => void): Promise<Figure[]> {
  const stack = await startStack({ flyLatency: 'zero', flyLimits: false, voice: { turns: 1, paceMs: 50 } });
  try {
    const platform = createPlatform(stack.publicUrl, stack.tenant.apiKey);
    const answers: number[] = [];
    const opens: number[] = [];
    const bare: number[] = [];
    const oneRun = async () => {
      const startedMs = performance.now();
      const session = await platform.createSession({
        candidate: { name: 'Bench' },
        position: { title: 'Bench' },
        region: 'fra',
      });
      const answeredMs = performance.now() - startedMs;
      let openedMs = 0;
      const { ended } = startCandidate({
        websocketUrl: session.websocket_url,
        joinToken: session.join_token ?? '',
        onStep: (step) => {
          if (step === 'socket_open' && openedMs === 0) openedMs = performance.now() - startedMs;
        },
      });
      await ended;
      await platform.waitFor(session.session_id, (s) => s.completed_at !== null, 20_000);
      return { answeredMs, openedMs };
    };
    await oneRun();
    for (let run = 1; run <= runs; run += 1) {
      bare.push(await bareNode());
      const { answeredMs, openedMs } = await oneRun();
      answers.push(answeredMs);
      opens.push(openedMs);
      progress(`run ${run}/${runs}: answered ${answeredMs.toFixed(0)} ms, socket open ${openedMs.toFixed(0)} ms`);
    }
    return [
      { name: 'POST to answer, p50', value: median(answers), unit: 'ms', target: 40, baseline: null },
      { name: 'POST to answer, p99', value: percentile(answers, 99), unit: 'ms', target: null, baseline: null },
      { name: 'POST to socket_open, p50', value: median(opens), unit: 'ms', target: 400, baseline: median(bare) },
      { name: 'POST to socket_open, p99', value: percentile(opens, 99), unit: 'ms', target: null, baseline: null },
    ];
  } finally {
    await stack.stop();
  }
}
