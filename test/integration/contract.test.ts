import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { startVideo } from '@greenroom/local-cloud/video/video.ts';
import { expect, test } from 'vitest';
import { readRows } from '../../tools/contract/rows.ts';

/** The contract suites as a command, which starts its own stand-ins and speaks to them over the wire. */
interface Report {
  ok: boolean;
  outcomes: Array<{ service: string; title: string; ok: boolean; detail: string; row?: string; real: boolean }>;
  skipped: Array<{ service: string; why: string }>;
  left: string[];
  rows: Array<{ claim: string; evidence: string }>;
}

const main = path.resolve(import.meta.dirname, '../../tools/contract/main.ts');

async function contract(args: string[], environment: Record<string, string> = {}) {
  const env = { PATH: process.env.PATH ?? '', ...environment };
  const run = promisify(execFile)(process.execPath, [main, '--json', '--env-file', '/dev/null', ...args], { env });
  const { stdout, code = 0 } = await run.then(
    ({ stdout }) => ({ stdout, code: 0 }),
    (error: { stdout: string; code: number }) => error,
  );
  return { code, report: JSON.parse(stdout) as Report };
}

test('every suite passes against the stand-ins and leaves nothing; no row becomes shown by that', async () => {
  const { code, report } = await contract([]);
  expect(report.outcomes.filter(({ ok }) => !ok)).toEqual([]);
  expect([code, report.left, report.skipped]).toEqual([0, [], []]);
  expect(new Set(report.outcomes.map(({ service }) => service))).toEqual(
    new Set(['fly', 'supabase', 'openai', 'video']),
  );
  expect(report.rows.map(({ evidence }) => evidence)).toEqual(readRows().map(({ evidence }) => evidence));
  // Every case that names a row names one that is there.
  const named = report.outcomes.flatMap(({ row }) => (row === undefined ? [] : [row]));
  expect(named.filter((row) => !report.rows.some(({ claim }) => claim.startsWith(row)))).toEqual([]);
});

test('a service without a key is skipped by name; if it was asked for, the exit code is 2', async () => {
  const video = await startVideo({});
  try {
    const environment = { API_VIDEO_URL: video.url, API_VIDEO_KEY: video.apiKey };
    const all = await contract([], environment);
    expect(all.report.skipped.map(({ service, why }) => [service, why])).toEqual([
      ['fly', 'set FLY_API_TOKEN, FLY_ORG'],
      ['supabase', 'set SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, DB_SIGNING_KEY'],
      ['openai', 'set OPENAI_API_KEY'],
    ]);
    expect([all.code, all.report.outcomes.every(({ ok }) => ok)]).toEqual([0, true]);
    expect((await contract(['--fly', '--video'], environment)).code).toBe(2);
  } finally {
    await video.stop();
  }
});

test('control: a service that answers something else fails, and the report says what', async () => {
  const video = await startVideo({});
  try {
    video.faults.add({ on: 'videos.status', action: { kind: 'status', status: 500 } });
    const { code, report } = await contract(['--video'], { API_VIDEO_URL: video.url, API_VIDEO_KEY: video.apiKey });
    expect(code).toBe(1);
    expect(report.outcomes.filter(({ ok }) => !ok)).toEqual([
      expect.objectContaining({ detail: expect.stringContaining('answered 500') }),
    ]);
  } finally {
    await video.stop();
  }
});
