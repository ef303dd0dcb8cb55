import { execFile, execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../orchestrator/cli/program.ts';
import { buildOpsApp } from '../../orchestrator/src/ops-app.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, hashOf, startApiWorld } from '../support/api-world.ts';

/** `greenroom` against a real operators' API: what it prints, its exit codes and its acts. */
const root = path.resolve(import.meta.dirname, '../..');
const tokens = Object.fromEntries(
  ['viewer', 'operator', 'admin'].map((role) => [role, `gr_op_${randomBytes(32).toString('hex')}`]),
) as Record<'viewer' | 'operator' | 'admin', string>;
let world: ApiWorld;
let tenant: SeededTenant;
let url: string;
let close: () => void;

beforeAll(async () => {
  world = await startApiWorld({
    OPERATOR_TOKENS: Object.entries(tokens)
      .map(([role, token]) => `${role}-kim:${role}:${hashOf(token)}`)
      .join(','),
  });
  tenant = await world.tenant('acme');
  const server = createServer((await buildOpsApp(world.deps)).routing);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = () => {
    server.closeAllConnections();
    server.close();
  };
});
afterAll(async () => {
  close?.();
  await world?.stop();
});

type Environment = Record<string, string | undefined>;
const environmentOf = (as: keyof typeof tokens, more: Environment = {}): Environment => ({
  ...{ PATH: process.env.PATH, GREENROOM_URL: url, GREENROOM_TOKEN: tokens[as], ...more },
});

interface Ran {
  code: number;
  out: string;
  progress: string;
}

/** In a process of its own, as a person starts it. */
const cli = (args: string[], as: keyof typeof tokens = 'operator', more: Environment = {}): Promise<Ran> =>
  new Promise((resolve) => {
    const env = environmentOf(as, more) as NodeJS.ProcessEnv;
    execFile(
      process.execPath,
      [path.join(root, 'orchestrator/cli/main.ts'), ...args],
      { env, cwd: tmpdir() },
      (error, out, progress) => resolve({ code: error === null ? 0 : Number(error.code), out, progress }),
    );
  });

/** In this process. */
async function run(args: string[], as: keyof typeof tokens = 'operator', answer?: string): Promise<Ran> {
  const [out, progress]: [string[], string[]] = [[], []];
  const console = {
    ...{ environment: environmentOf(as), cwd: tmpdir() },
    print: (line: string) => void out.push(line),
    progress: (line: string) => void progress.push(line),
    ...(answer === undefined ? {} : { ask: async () => answer }),
  };
  const code = await runProgram(args, console, root);
  return { code, out: out.join('\n'), progress: progress.join('\n') };
}

const newSession = async (): Promise<string> => {
  const body = { candidate: { name: 'Ada Lovelace' }, position: { title: 'Cook' }, region: 'fra' };
  const made = await world.send('/api/sessions', { method: 'POST', as: tenant.apiKey, body });
  expect(made.status).toBe(201);
  return made.json.session_id;
};
const statusOf = async (id: string): Promise<string> =>
  (await world.db.query('select status from public.interview_sessions where id = $1', [id])).rows[0].status;
const why = ['--why', 'a test'];

describe('reading commands', () => {
  test('every reading command answers as a table and as one document, without a name', async () => {
    const id = await newSession();
    const machine = (await world.db.query('select id from public.machines where session_id = $1', [id])).rows[0].id;
    const commands = [
      ['status'],
      ['whoami'],
      ['find', id.slice(0, 8)],
      ['cost'],
      ['sessions', 'ls', '--live', '--tenant', 'acme', '--status', 'provisioning', '--status', 'pending'],
      ['sessions', 'show', id],
      ['sessions', 'why', id],
      ['machines', 'ls', '--kind', 'session'],
      ['machines', 'show', machine],
      ['pool', 'ls'],
      ['regions', 'ls'],
      ['tenants', 'ls'],
      ['tenants', 'show', 'acme'],
      ['keys', 'ls', 'acme'],
      ['webhooks', 'ls', '--tenant', 'acme'],
      ['work', 'ls'],
      ['brake', 'show'],
    ];
    for (const command of commands) {
      const [text, json] = [await run(command, 'viewer'), await run([...command, '--json'], 'viewer')];
      expect([command.join(' '), text.code, json.code, text.progress]).toEqual([command.join(' '), 0, 0, '']);
      expect(text.out).not.toMatch(/Lovelace|undefined|\[object/);
      expect(JSON.parse(json.out)).toMatchObject({ ok: true });
    }
    expect((await run(['sessions', 'ls', '--tenant', 'acme'])).out).toContain(id);
    expect((await run(['machines', 'ls'])).out).toContain(machine);
  });

  test('ls stops at --limit and says that there is more, and shows everything with --all', async () => {
    for (let n = 0; n < 3; n += 1) await newSession();
    const two = JSON.parse((await run(['sessions', 'ls', '--limit', '2', '--json'])).out);
    expect([two.data.length, two.has_more]).toEqual([2, true]);
    const all = JSON.parse((await run(['sessions', 'ls', '--all', '--json'])).out);
    expect(all.has_more).toBe(false);
    expect(new Set(all.data.map(({ session_id }: { session_id: string }) => session_id)).size).toBe(all.data.length);
  });

  test('tail prints the events of a session until it has ended', async () => {
    const id = await newSession();
    const tail = run(['sessions', 'tail', id, '--json']);
    await expect.poll(() => world.deps.operatorApi.feed.watchers).toBe(1);
    expect((await run(['sessions', 'end', id, ...why, '--yes'])).code).toBe(0);
    const { code, out } = await tail;
    const types = out
      .split('\n')
      .map((line) => JSON.parse(line).type)
      .filter((type) => type !== undefined);
    expect([code, types[0], types.at(-1)]).toEqual([0, 'session.pending', 'session.cancelled']);
  });

  test('sessions start without GREENROOM_API_KEY names the missing variable and exits with 78', async () => {
    const file = path.join(root, 'package.json');
    const missing = await run(['sessions', 'start', '--file', file]);
    expect([missing.code, missing.progress]).toEqual([78, expect.stringContaining('GREENROOM_API_KEY')]);
  });
});

describe('acts', () => {
  test('without a terminal an act shows its effect, requires --yes, and exits with 5 when it is repeated', async () => {
    const id = await newSession();
    const end = (...more: string[]) => cli(['sessions', 'end', id, ...why, ...more]);
    const dry = await end('--dry-run');
    expect([dry.code, dry.out]).toEqual([0, expect.stringContaining('Nothing was changed')]);
    const unconfirmed = await end();
    expect([unconfirmed.code, unconfirmed.progress]).toEqual([2, expect.stringContaining('--yes')]);
    expect(await statusOf(id)).toBe('provisioning');
    const done = await end('--yes', '--json');
    expect([done.code, JSON.parse(done.out)]).toEqual([0, expect.objectContaining({ ok: true, done: true })]);
    expect(await statusOf(id)).toBe('cancelled');
    expect((await end('--yes')).code).toBe(5);
  });

  test('on a terminal an act asks for confirmation, and runs only after the answer y', async () => {
    const id = await newSession();
    const end = (answer: string) => run(['sessions', 'end', id, ...why], 'operator', answer);
    expect((await end('')).out).toBe('Nothing was changed.');
    expect(await statusOf(id)).toBe('provisioning');
    expect((await end('y')).code).toBe(0);
    expect(await statusOf(id)).toBe('cancelled');
  });

  test('regions, pools and machines are changed, and an act that is impossible or already done has its exit code', async () => {
    const done = async (args: string[], code = 0) => {
      const ran = await run([...args, ...why, '--yes']);
      expect([args.join(' '), ran.code, ran.progress]).toEqual([
        args.join(' '),
        code,
        code === 0 ? '' : expect.any(String),
      ]);
    };
    await done(['regions', 'drain', 'fra', '--until', new Date(Date.now() + 3_600_000).toISOString()]);
    expect((await run(['regions', 'ls'])).out).toMatch(/^fra +drained/m);
    await done(['regions', 'open', 'fra']);
    await done(['regions', 'open', 'fra'], 5);
    await done(['regions', 'open', 'xyz'], 3);
    await world.db.query('update public.tenants set max_standby = 3 where id = $1', [tenant.id]);
    await done(['pool', 'set', 'acme', 'iad', '--floor', '1', '--ceiling', '2']);
    await done(['pool', 'set', 'acme', 'iad', '--floor', 'x', '--ceiling', '2'], 2);
    await done(['pool', 'set', 'nobody', 'iad', '--floor', '1', '--ceiling', '2'], 3);
    expect((await run(['pool', 'ls'])).out).toMatch(/^acme +iad +1 +2/m);
    const id = await newSession();
    const machine = (await world.db.query('select id from public.machines where session_id = $1', [id])).rows[0].id;
    await done(['machines', 'stop', machine, '--replace'], 1);
    await done(['machines', 'stop', machine]);
    await done(['machines', 'stop', machine], 5);
    await done(['results', 'retry', id], 3);
    await done(['work', 'retry', 'hang_up', 'x'], 3);
    await done(['webhooks', 'replay', randomUUID()], 3);
  });
});

describe('exit codes', () => {
  test.each<[string, string[], number, (keyof typeof tokens)?, Environment?]>([
    ['an unknown command', ['sesions'], 2],
    ['an unknown option', ['sessions', 'ls', '--colour', 'red'], 2],
    ['a filter that the API does not know', ['sessions', 'ls', '--status', 'asleep'], 2],
    ['a list without its filter', ['webhooks', 'ls'], 2],
    ['an act without a reason', ['regions', 'drain', 'fra', '--yes'], 2],
    ['an unknown id', ['sessions', 'show', randomUUID()], 3],
    ['an act of a viewer', ['regions', 'drain', 'fra', ...why, '--yes'], 4, 'viewer'],
    ['an act that needs an admin', ['brake', 'release', randomUUID(), ...why, '--yes'], 4],
    ['an unknown token', ['status'], 4, 'viewer', { GREENROOM_TOKEN: `gr_op_${'x'.repeat(40)}` }],
    ['a server that does not answer', ['status'], 69, 'viewer', { GREENROOM_URL: 'http://127.0.0.1:9' }],
    ['no address', ['status'], 78, 'viewer', { GREENROOM_URL: '' }],
  ])('%s', async (_what, args, code, as = 'operator', more = {}) => {
    const ran = await cli(args, as, more);
    expect([ran.code, ran.progress.includes('    at ')]).toEqual([code, false]);
    expect(ran.progress).not.toBe('');
  });
});

test('the completion of bash knows the commands and their options', async () => {
  const { out } = await run(['completion', 'bash']);
  const complete = (...words: string[]): string[] =>
    execFileSync('bash', [
      '-c',
      `${out}\nCOMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _greenroom; echo "\${COMPREPLY[@]}"`,
      'bash',
      ...words,
    ])
      .toString()
      .trim()
      .split(' ');
  expect(complete('greenroom', 'sess')).toEqual(['sessions']);
  expect(complete('greenroom', 'sessions', '')).toEqual(expect.arrayContaining(['ls', 'show', 'why', 'end']));
  expect(complete('greenroom', 'sessions', 'end', '--dry')).toEqual(['--dry-run']);
  for (const shell of ['zsh', 'fish']) expect((await run(['completion', shell])).code).toBe(0);
  expect((await run(['completion', 'tcsh'])).code).toBe(2);
});
