import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProgram } from '../../orchestrator/cli/program.ts';
import { buildOpsApp } from '../../orchestrator/src/ops-app.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, hashOf, startApiWorld } from '../support/api-world.ts';

/** Every command in a block of a runbook (docs/runbooks) is carried out, in the order of the text. */
const root = path.resolve(import.meta.dirname, '../..');
const dir = path.join(root, 'docs/runbooks');
const token = `gr_op_${randomBytes(32).toString('hex')}`;
let world: ApiWorld;
let tenant: SeededTenant;
let url: string;
let close: () => void;

beforeAll(async () => {
  world = await startApiWorld({ OPERATOR_TOKENS: `kim:admin:${hashOf(token)}` });
  tenant = await world.tenant('acme');
  await world.db.query('update public.tenants set max_standby = 20');
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

/** What the variables of the runbooks stand for: rows that the alert would be about. */
async function seed(): Promise<Record<string, string>> {
  const body = { candidate: { name: 'Ada Lovelace' }, position: { title: 'Cook' }, region: 'fra' };
  const { json } = await world.send('/api/sessions', { method: 'POST', as: tenant.apiKey, body });
  const { rows } = await world.db.query(
    `with result as (
      insert into public.interview_results (session_id, tenant_id, status, attempts, failure, last_error)
      select id, tenant_id, 'dead', 6, 'refused', 'the model refused' from public.interview_sessions where id = $1),
    hold as (
      insert into public.brake_holds (app_name, orchestrator_id, ends, ceiling)
      select app_name, gen_random_uuid(), jsonb_build_array(jsonb_build_object('machine_id', id, 'fly_machine_id',
        fly_machine_id, 'session_id', session_id, 'what', 'orphan')), 0 from public.machines where session_id = $1
      on conflict (app_name) do update set seen_at = now() returning id)
    select m.id as machine, (select id from hold) as hold from public.machines m where m.session_id = $1`,
    [json.session_id],
  );
  return { SESSION: json.session_id, MACHINE: rows[0].machine, HOLD: rows[0].hold, TENANT: 'acme' };
}

/** The words of a line of shell that has only plain and double-quoted words. */
const wordsOf = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');

const commandsOf = (file: string): string[] =>
  [...readFileSync(path.join(dir, file), 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)]
    .flatMap(([, block = '']) => block.split('\n'))
    .filter((line) => line.trim() !== '');

async function run(line: string, values: Record<string, string>) {
  const [npx, greenroom, ...args] = wordsOf(
    line.replaceAll(/\$([A-Z]+)/g, (_all, name: string) => values[name] ?? name),
  );
  expect([npx, greenroom]).toEqual(['npx', 'greenroom']);
  const out: string[] = [];
  const say = (text: string) => void out.push(text);
  const environment = { PATH: process.env.PATH, GREENROOM_URL: url, GREENROOM_TOKEN: token };
  const code = await runProgram(args, { environment, cwd: tmpdir(), print: say, progress: say }, root);
  return { line, code, out: out.join('\n') };
}

test.each(readdirSync(dir))('the commands of %s do what they say', async (file) => {
  expect(commandsOf(file)).not.toEqual([]);
  const values = await seed();
  for (const line of commandsOf(file)) {
    const { code, out } = await run(line, values);
    expect({ line, code, out }).toMatchObject({ line, code: 0 });
    if (line.includes('--dry-run')) expect(out).toContain('Nothing was changed');
  }
});
