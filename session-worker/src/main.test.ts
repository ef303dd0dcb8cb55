import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type BuiltWorker, buildWorker } from '../build.ts';
import { rehearse } from '../rehearse.ts';
import { type Candidate, connectCandidate } from '../test/candidate.ts';
import { offerSdp, type Peers, startPeers } from '../test/peers.ts';

/** The bundle as the image runs it: a real process with scripted peers. */
describe('the worker process', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'gr-worker-'));
  let built: BuiltWorker;
  let peers: Peers;
  let child: ChildProcess | undefined;

  beforeAll(async () => {
    built = await buildWorker(dir);
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  beforeEach(async () => {
    peers = await startPeers();
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    await peers.close();
  });

  const start = (environment: Record<string, string> = {}, file = built.file) => {
    const lines: Array<Record<string, unknown>> = [];
    let errors = '';
    const one = spawn(process.execPath, [file], {
      env: {
        HOST: '127.0.0.1',
        PORT: '0',
        ORCHESTRATOR_URL: peers.url,
        FLY_API_SOCKET: peers.flySocket,
        CLAIM_MS: '3000',
        ...environment,
      },
    });
    child = one;
    let rest = '';
    one.stdout.on('data', (data) => {
      const parts = (rest + String(data)).split('\n');
      rest = parts.pop() ?? '';
      lines.push(...parts.map((line) => JSON.parse(line) as Record<string, unknown>));
    });
    one.stderr.on('data', (data) => {
      errors += String(data);
    });
    const exited = new Promise<number | null>((resolve) => one.on('exit', resolve));
    const logged = (sentence: string) =>
      vi.waitFor(() => lines.find((line) => line.msg === sentence) ?? expect.fail(`not logged: ${sentence}`), {
        timeout: 30_000,
        interval: 5,
      });
    return { process: one, exited, logged, lines, errors: () => errors };
  };
  const inCall = async (worker: ReturnType<typeof start>): Promise<Candidate> => {
    const { port } = await worker.logged('listening');
    await worker.logged('session claimed');
    const candidate = await connectCandidate(Number(port), peers);
    candidate.say({ type: 'init_session' });
    candidate.say({ type: 'sdp_offer', sdp: offerSdp });
    await candidate.receives('sdp_answer');
    return candidate;
  };

  test('the same source gives the same digest', async () => {
    expect((await buildWorker(path.join(dir, 'again'))).digest).toBe(built.digest);
    expect(built.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  test('the bundle stays small: it contains no second HTTP client and no new large library', () => {
    const text = readFileSync(built.bundle, 'utf8');
    expect(text).not.toMatch(/llhttp/);
    expect(text.length).toBeLessThan(960_000);
  });

  test('a rehearsal leaves compiled code, and a worker that uses it serves an interview', async () => {
    await rehearse(built.file);
    const cache = built.bundle.replace(/cjs$/, 'cache');
    expect(statSync(cache).size).toBeGreaterThan(500_000);
    const worker = start();
    await inCall(worker);
  });

  test('the rehearsal of a bundle that cannot start fails', async () => {
    await expect(rehearse(path.join(dir, 'nothing.cjs'))).rejects.toThrow('rehearsal failed (exit 1)');
  });

  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const ended = async (worker: ReturnType<typeof start>): Promise<void> => {
    await inCall(worker);
    peers.directive = { kind: 'end', outcome: 'cancelled', reason: 'ended_by_platform' };
    worker.process.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
  };

  test('a traced worker sends its spans when it ends; the provider and the database get no header of ours', async () => {
    peers.claim.trace = { traceparent, wanted: true };
    await ended(start());
    const reports = peers.askedFor('POST /worker/v1/traces').map(({ body }) => JSON.stringify(body));
    for (const name of ['boot worker', 'claim', 'offer and answer', 'provider create call', 'report end', 'teardown'])
      expect(reports.join()).toContain(`"name":"${name}"`);
    expect(reports.join()).not.toMatch(/v=0|ek_1|Bearer/);
    const carrying = peers.asked.filter((one) => one.traceparent !== undefined);
    expect([...new Set(carrying.map((one) => one.traceparent))]).toEqual([traceparent]);
    expect(carrying.filter(({ path: at }) => !at.startsWith('/worker/v1/'))).toEqual([]);
    expect(peers.askedFor('POST /v1/realtime/calls')).toHaveLength(1);
  });

  test('a worker whose session is not traced never reads the tracing library; a traced one without it says so once', async () => {
    const alone = path.join(dir, 'alone');
    mkdirSync(alone);
    const file = path.join(alone, 'worker.cjs');
    for (const part of [built.file, built.bundle]) copyFileSync(part, path.join(alone, path.basename(part)));
    const untraced = start({}, file);
    await ended(untraced);
    expect(untraced.lines.filter(({ level }) => level !== 'info')).toEqual([]);
    peers.directive = { kind: 'continue' };
    peers.claim.trace = { traceparent, wanted: true };
    const traced = start({}, file);
    await ended(traced);
    const warnings = traced.lines.filter(({ level }) => level !== 'info');
    expect(warnings.map(({ msg }) => msg)).toEqual([
      'could not load the tracing library; this worker exports no spans',
    ]);
    expect(warnings[0]).toMatchObject({ trace_id: 'a'.repeat(32) });
  });

  test('SIGTERM during a call without an `end` directive: hands over, closes with 4409, exits 0 and does not hang up', async () => {
    const worker = start();
    const candidate = await inCall(worker);
    worker.process.kill('SIGTERM');
    expect((await candidate.closed).code).toBe(4409);
    expect(await worker.exited).toBe(0);
    expect(peers.askedFor('POST /worker/v1/finish').map((one) => one.body)).toEqual([
      { kind: 'draining', counts: expect.any(Object) },
    ]);
    expect(peers.askedFor('POST /v1/realtime/hangup')).toEqual([]);
  });

  test('SIGTERM with an `end` directive: ends the session, hangs up and exits 0', async () => {
    const worker = start();
    const candidate = await inCall(worker);
    peers.directive = { kind: 'end', outcome: 'cancelled', reason: 'ended_by_platform' };
    worker.process.kill('SIGTERM');
    expect(await candidate.receives('session_ended')).toMatchObject({ reason: 'ended_by_platform' });
    expect((await candidate.closed).code).toBe(1000);
    expect(await worker.exited).toBe(0);
    expect(peers.askedFor('POST /v1/realtime/hangup')).toHaveLength(1);
  });

  test('exits 0 after a refused claim, 1 without a claim in time, and 0 on SIGTERM before the claim', async () => {
    peers.bend('POST /worker/v1/claim', () => ({ status: 409, body: { code: 'claim_refused' } }));
    expect(await start().exited).toBe(0);
    peers.bend('POST /worker/v1/claim', () => ({ status: 503 }));
    expect(await start({ CLAIM_MS: '200' }).exited).toBe(1);
    const worker = start();
    await worker.logged('listening');
    worker.process.kill('SIGTERM');
    expect(await worker.exited).toBe(0);
  });

  test('an invalid configuration exits 78 and names every variable to set', async () => {
    const worker = start({ ORCHESTRATOR_URL: '', PORT: 'many' });
    expect(await worker.exited).toBe(78);
    expect(worker.errors()).toContain('set ORCHESTRATOR_URL');
    expect(worker.errors()).toContain('PORT is wrong');
  });
});
