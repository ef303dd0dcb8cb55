import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { startFly } from '@greenroom/local-cloud/fly/fly.ts';
import { startVideo } from '@greenroom/local-cloud/video/video.ts';
import { afterAll, expect, test } from 'vitest';
import { readRecording, strikeOut, writeRecording } from './recording.ts';
import { replay } from './replay.ts';

const root = path.resolve(import.meta.dirname, '../..');
const dir = mkdtempSync(path.join(tmpdir(), 'greenroom-recordings-'));
const recordings = path.join(dir, 'recordings');
afterAll(() => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }));

/** `npm run contract` with only these variables. @returns its exit code and what it printed */
async function contract(args: string[], variables: Record<string, string> = {}) {
  const main = path.join(root, 'tools/contract/main.ts');
  const env = { PATH: process.env.PATH ?? '', ...variables };
  return promisify(execFile)(process.execPath, [main, '--env-file', '/dev/null', ...args], { env }).then(
    ({ stdout }) => ({ code: 0, stdout }),
    ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
  );
}

test('recordings of real services that are committed pass the checks of today', async () => {
  const committed = path.join(root, 'test/contract/recordings');
  const services = ['fly', 'supabase', 'openai', 'video'] as const;
  for (const file of existsSync(committed) ? readdirSync(committed) : [])
    expect(JSON.parse(readFileSync(path.join(committed, file), 'utf8')), file).toMatchObject({ real: true });
  expect((await replay(committed, services)).filter(({ ok }) => !ok)).toEqual([]);
});

test('a run is recorded without a secret, and its recording passes where no service answers; a changed answer fails', async () => {
  const token = 'fo1_secret_of_this_run';
  const fly = await startFly({ dir: path.join(dir, 'fly'), token, limits: false });
  fly.registerImage('nginx:alpine', { command: [process.execPath, '-e', 'setInterval(() => {}, 1000)'] });
  const video = await startVideo({});
  const variables = {
    ...{ FLY_API_URL: fly.apiUrl, FLY_API_TOKEN: token, FLY_ORG: 'local' },
    ...{ API_VIDEO_URL: video.url, API_VIDEO_KEY: video.apiKey },
  };
  const recorded = await contract(['--fly', '--video', '--record', recordings], variables);
  await Promise.all([fly.stop(), video.stop()]);
  expect([recorded.code, readdirSync(recordings).toSorted()], recorded.stdout).toEqual([0, ['fly.json', 'video.json']]);
  const files = readdirSync(recordings).map((file) => readFileSync(path.join(recordings, file), 'utf8'));
  for (const secret of [token, video.apiKey]) expect(files.join('')).not.toContain(secret);

  const replayed = await contract(['--replay', recordings]);
  expect([replayed.code, replayed.stdout], replayed.stdout).toEqual([0, expect.stringMatching(/\d\d recorded cases/)]);

  const recording = readRecording(recordings, 'fly');
  const regions = recording?.cases.find(({ title }) => title === 'the regions are listed')?.exchanges[0];
  if (!recording || !regions) throw new Error('the regions are not recorded');
  expect(recording.real).toBe(false);
  regions.body = { regions: 'fra' };
  writeRecording(path.join(dir, 'changed'), recording);
  const changed = await contract(['--replay', path.join(dir, 'changed')]);
  expect([changed.code, changed.stdout]).toEqual([1, expect.stringContaining('FAIL fly: the regions are listed')]);
}, 180_000);

test('a suite that asks something else than its recording has is told to record again', async () => {
  const recording = { service: 'video', real: true, recordedAt: '', cases: [] } as const;
  const title = 'an empty container has the ingest status missing, or none';
  const folder = path.join(dir, 'old');
  writeRecording(folder, { ...recording, cases: [{ title, exchanges: [] }] });
  const [outcome] = await replay(folder, ['video']);
  expect(outcome).toMatchObject({ ok: false, detail: expect.stringContaining('record it again') });
});

test('keys, tokens and personal data are struck out, and of an account’s lists only our own items are kept', () => {
  const answer = {
    apps: [{ name: 'gr-contract-1' }, { name: 'gr-somebody-else-1' }],
    config: { env: { DATABASE_URL: 'postgres://u:p@h/d' }, image: 'nginx:alpine' },
    user: 'Jane Doe',
    email: 'jane@example.com',
    note: 'call jane@example.com with ek_68f0123456 or FlyV1 fm2_abc+/=,fm2_def',
    token: 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln',
    key: 'plain-looking-key',
  };
  const clean = JSON.stringify(strikeOut(answer, { app: 'gr-contract-1' }, ['plain-looking-key']));
  for (const left of ['somebody', 'postgres://', 'Jane', 'jane', 'ek_', 'fm2_', 'eyJ', 'plain-looking'])
    expect(clean).not.toContain(left);
  expect(JSON.parse(clean)).toMatchObject({ apps: [{ name: 'gr-contract-1' }], config: { image: 'nginx:alpine' } });
});
