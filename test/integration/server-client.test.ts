import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '@greenroom/local-cloud/supabase/ports.ts';
import { createGreenroom, type Greenroom, metaOf, SessionOverError } from '@greenroom/server';
import { scopes } from '@greenroom/shared/protocol/access.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { denoBinary, denoEnvironment } from '../../tools/stack/edge-functions.ts';
import { type Stack, startStack } from '../../tools/stack/stack.ts';
import { until } from '../support/session.ts';

/** `@greenroom/server` against the local cloud, with a test key; the blocks of its README run as they are. */
describe('the server client', () => {
  const root = path.resolve(import.meta.dirname, '../..');
  let stack: Stack;
  let dir: string;
  let key: string;
  let greenroom: Greenroom;
  let blocks: string[];

  beforeAll(async () => {
    stack = await startStack({ flyLimits: false });
    const admin = createGreenroom({ url: stack.publicUrl, apiKey: stack.tenant.apiKey });
    ({ key } = await admin.createTestKey(stack.tenant.id, { name: 'ci', scopes: [...scopes] }));
    greenroom = createGreenroom({ url: stack.publicUrl, apiKey: key });
    // Inside the repository, so that the blocks find the package by its name.
    dir = await mkdtemp(path.join(root, 'server-client/.readme-'));
    const text = await readFile(path.join(root, 'server-client/README.md'), 'utf8');
    blocks = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block = '']) => block);
  });
  afterAll(async () => {
    await stack?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  test.concurrent('the first block of the README takes a session from its creation to its result', async () => {
    const file = path.join(dir, 'backend.ts');
    await writeFile(file, blocks[0] ?? '');
    const { stdout } = await promisify(execFile)(process.execPath, [file], {
      env: { PATH: process.env.PATH, GREENROOM_URL: stack.publicUrl, GREENROOM_API_KEY: key },
    });
    const lines = stdout.trim().split('\n');
    expect(lines[0]).toMatch(/^The candidate opens http:.+#/);
    expect(lines).toEqual(expect.arrayContaining(['session.ready', 'session.in_progress', 'session.completed']));
    expect(lines.slice(-2)).toEqual([expect.stringMatching(/^done \w+/), 'completed']);
    const again = await promisify(execFile)(process.execPath, [file], {
      env: { PATH: process.env.PATH, GREENROOM_URL: stack.publicUrl, GREENROOM_API_KEY: key },
    }).catch((error: { stderr: string }) => error);
    // The same order is the same session, which is over.
    expect('stderr' in again && again.stderr).toContain('SessionOverError');
    expect(await greenroom.listSessions({ metadata: { order: '4711' } }).all()).toHaveLength(1);
  });

  test.concurrent('a webhook arrives in Deno, in the handler of the README, and is verified', async () => {
    const port = await freePort();
    const { id, secret } = await greenroom.createWebhook({ url: `http://127.0.0.1:${port}/`, events: ['result.done'] });
    const handler = path.join(dir, 'webhook.ts');
    await writeFile(handler, (blocks[1] ?? '').replace('whsec_…', secret));
    let output = '';
    const args = ['serve', '--no-prompt', '--cached-only', '--node-modules-dir=manual', '--unstable-sloppy-imports'];
    const deno: ChildProcess = spawn(denoBinary, [...args, '--host=127.0.0.1', `--port=${port}`, handler], {
      ...{ cwd: root, env: denoEnvironment() },
    });
    for (const stream of [deno.stdout, deno.stderr])
      stream?.on('data', (part) => {
        output += part;
      });
    try {
      await until(`Deno listens: ${output}`, () => output.includes('Listening'));
      const forged = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{}' });
      expect(forged.status).toBe(400);
      const { session_id } = await greenroom.createSession({ candidate: { name: 'Ada' }, position: { title: 'Cook' } });
      await greenroom.simulateCandidate(session_id, { script: 'completes' });
      await until('the webhook was verified', () => output.includes(`result.done ${session_id}`));
      const [delivery] = await greenroom.listDeliveries(id).all();
      expect(delivery).toMatchObject({ type: 'result.done' });
    } finally {
      deno.kill();
    }
  });

  test('lists, changes with an etag, transcripts and errors are typed and work', async () => {
    const candidate = await greenroom.createCandidate({ name: 'Grace' });
    const read = await greenroom.getCandidate(candidate.id);
    const etag = metaOf(read)?.etag as string;
    await greenroom.updateCandidate(candidate.id, { name: 'Grace Hopper' }, { ifMatch: etag });
    await expect(greenroom.updateCandidate(candidate.id, { name: 'G' }, { ifMatch: etag })).rejects.toMatchObject({
      ...{ name: 'ApiError', status: 412, code: 'precondition_failed' },
    });
    await expect(greenroom.createSession({ candidate: { name: '' }, position: { title: 'x' } })).rejects.toMatchObject({
      ...{ status: 422, code: 'validation_failed', problem: { errors: [{ field: 'candidate.name' }] } },
    });
    const body = { candidate_id: candidate.id, position: { title: 'Cook' }, placement: 'on_join' as const };
    const first = await greenroom.createSession(body, { idempotencyKey: 'one' });
    const second = await greenroom.createSession(body, { idempotencyKey: 'one' });
    expect(second).toEqual(first);
    expect(metaOf(second)).toMatchObject({ replayed: true });
    await greenroom.endSession(first.session_id);
    await expect(greenroom.waitForReady(first.session_id)).rejects.toBeInstanceOf(SessionOverError);
    await expect(greenroom.waitForResult(first.session_id)).rejects.toBeInstanceOf(SessionOverError);
    expect((await greenroom.getTranscript(first.session_id)).entries).toEqual([]);
    expect(await greenroom.getTranscriptText(first.session_id, 'vtt')).toMatch(/^WEBVTT/);
    const pages = [];
    for await (const { data } of greenroom.listCandidates({ limit: 1 }).pages()) pages.push(data.length);
    expect(pages.length).toBeGreaterThan(0);
  });

  test('the stream of all sessions continues where another one has ended', async () => {
    const stopping = new AbortController();
    const { session_id } = await greenroom.createSession({
      ...{ candidate: { name: 'Ada' }, position: { title: 'Cook' }, placement: 'on_join' },
    });
    let last = '0';
    for await (const { id, type, data } of greenroom.streamEvents({ after: 0, signal: stopping.signal })) {
      last = id;
      if (type === 'session.pending' && data.session_id === session_id) break;
    }
    await greenroom.endSession(session_id);
    const types: string[] = [];
    for await (const { type, data } of greenroom.streamEvents({ after: last })) {
      if (data.session_id === session_id) types.push(type);
      if (types.at(-1) === 'session.cancelled') break;
    }
    expect(types.at(-1)).toBe('session.cancelled');
  });

  test('a key that is revoked ends its streams with an error', async () => {
    const made = await createGreenroom({ url: stack.publicUrl, apiKey: stack.tenant.apiKey }).createApiKey(
      stack.tenant.id,
      {
        ...{ name: 'short', scopes: ['sessions:read'] },
      },
    );
    const short = createGreenroom({ url: stack.publicUrl, apiKey: made.key });
    const reading = (async () => {
      for await (const _ of short.streamEvents({ after: 0 })) {
        // Until it is refused.
      }
    })();
    const refused = expect(reading).rejects.toMatchObject({ name: 'ApiError', status: 401 });
    const admin = createGreenroom({ url: stack.publicUrl, apiKey: stack.tenant.apiKey });
    await admin.revokeApiKey(stack.tenant.id, made.id);
    await refused;
  });
});
