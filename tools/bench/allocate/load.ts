import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { percentile } from '../figures.ts';

/**
 * The load generator, a separate process. It keeps a number of requests in flight for a time and prints one JSON line.
 * Its task is read from a file, so that no API key appears in a command line.
 */
export interface LoadTask {
  url: string;
  apiKey: string;
  /** Requests in flight. */
  concurrency: number;
  warmUpMs: number;
  measureMs: number;
  /** Request bodies, used in turn and then again from the first. */
  bodies: string[];
}

export interface LoadReport {
  accepted: number;
  /** By status; 0 means no answer. */
  errors: Record<string, number>;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  /** First error body. */
  sample: string | null;
}

async function main(task: LoadTask): Promise<LoadReport> {
  const pool = new Pool(task.url, { connections: task.concurrency, pipelining: 1 });
  const headers = { authorization: `Bearer ${task.apiKey}`, 'content-type': 'application/json' };
  const tookMs: number[] = [];
  const errors: Record<string, number> = {};
  let sample: string | null = null;
  let sent = 0;
  let measuring = false;
  let running = true;

  const one = async (): Promise<void> => {
    const body = task.bodies[sent % task.bodies.length] as string;
    sent += 1;
    const startedMs = performance.now();
    const answer = await pool
      .request({ method: 'POST', path: '/api/sessions', headers, body })
      .catch((error: unknown) => ({ statusCode: 0, body: { text: async () => String(error), dump: async () => {} } }));
    if (answer.statusCode === 201) await answer.body.dump();
    else {
      sample ??= (await answer.body.text()).slice(0, 500);
      errors[answer.statusCode] = (errors[answer.statusCode] ?? 0) + 1;
    }
    if (measuring && answer.statusCode === 201) tookMs.push(performance.now() - startedMs);
  };
  const stream = async (): Promise<void> => {
    while (running) await one();
  };

  const streams = Array.from({ length: task.concurrency }, stream);
  await sleep(task.warmUpMs);
  measuring = true;
  const startedMs = performance.now();
  await sleep(task.measureMs);
  measuring = false;
  const seconds = (performance.now() - startedMs) / 1_000;
  running = false;
  await Promise.all(streams);
  await pool.close();
  return {
    accepted: tookMs.length,
    errors,
    perSecond: tookMs.length / seconds,
    p50Ms: percentile(tookMs, 50),
    p99Ms: percentile(tookMs, 99),
    sample,
  };
}

process.stdout.write(`${JSON.stringify(await main(JSON.parse(readFileSync(process.argv[2] as string, 'utf8'))))}\n`);
