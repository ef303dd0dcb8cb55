import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { functionsDir, type ServedFunction, serveFunction, verifiesJwt } from '../../tools/stack/edge-functions.ts';
import type { SeededTenant } from '../../tools/stack/seed.ts';
import { type ApiWorld, startApiWorld } from '../support/api-world.ts';
import { runDeno } from '../support/deno.ts';

/** The Edge Functions: their own tests in Deno, and both served with a real database and an orchestrator. */
const files = ['interview-start/index.ts', 'interview-transcript/index.ts', 'tests/functions.test.ts'];

describe('the Edge Functions in Deno', () => {
  test.each([
    ['check', files],
    ['lint', []],
    ['test', ['tests']],
  ])('the Edge Functions pass deno %s', async (command, args) => {
    const { code, output } = await runDeno(command, args);
    expect(code, output).toBe(0);
  });

  test('the versions pinned for the hosted runtime equal the tested versions', () => {
    const { imports } = JSON.parse(readFileSync(path.join(functionsDir, 'deno.json'), 'utf8')) as {
      imports: Record<string, string>;
    };
    const lock = readFileSync(path.join(functionsDir, 'deno.lock'), 'utf8');
    for (const specifier of Object.values(imports).filter((one) => one.startsWith('npm:'))) {
      const [, name, version] = /^npm:(.+)@([\d.]+)$/.exec(specifier) as unknown as [string, string, string];
      const installed = JSON.parse(readFileSync(path.resolve('node_modules', name, 'package.json'), 'utf8')) as {
        version: string;
      };
      expect([name, installed.version]).toEqual([name, version]);
      expect(lock).toContain(`"${specifier}": "${version}"`);
    }
  });
});

describe('the Edge Functions served locally', () => {
  let world: ApiWorld;
  let tenant: SeededTenant;
  let start: ServedFunction;
  let transcript: ServedFunction;

  beforeAll(async () => {
    world = await startApiWorld();
    tenant = await world.tenant('acme');
    [start, transcript] = await Promise.all([
      serveFunction('interview-start', world.supabase, {
        ORCHESTRATOR_URL: world.url,
        ALLOWED_ORIGINS: 'https://app.acme.example',
      }),
      serveFunction('interview-transcript', world.supabase, {
        PUBLIC_URL: 'http://interviews.test',
        ORCHESTRATOR_URL: world.url,
        JOIN_JWKS: JSON.stringify(world.deps.browserTokens.keys.jwks),
      }),
    ]);
  });
  afterAll(async () => {
    await Promise.all([start?.stop(), transcript?.stop()]);
    await world?.stop();
  });

  const send = async (url: string, body: unknown, headers: Record<string, string>) => {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return { status: answer.status, headers: answer.headers, json: (await answer.json()) as Record<string, unknown> };
  };
  const interview = { candidate: { name: 'Ada' }, position: { title: 'Engineer' }, region: 'fra' };

  test('interview-start makes one session per key for a member, and none for a viewer or a stranger', async () => {
    const member = await world.user('member@acme.test', { [tenant.id]: 'member' });
    const viewer = await world.user('viewer@acme.test', { [tenant.id]: 'viewer' });
    const as = (token: string) => ({
      authorization: `Bearer ${token}`,
      'idempotency-key': 'from-the-page',
      origin: 'https://app.acme.example',
    });
    const made = await send(start.url, interview, as(member.token));
    expect(made.status, JSON.stringify(made.json)).toBe(201);
    expect(made.headers.get('access-control-allow-origin')).toBe('https://app.acme.example');
    const again = await send(start.url, interview, as(member.token));
    expect(again.json.session_id).toBe(made.json.session_id);
    expect((await send(start.url, interview, as(viewer.token))).status).toBe(403);
    expect(
      (await send(start.url, interview, as(await world.supabase.mint({ sub: member.id }, { expiresInS: -5 })))).status,
    ).toBe(401);
  });

  test('interview-transcript merges browser entries as unverified, and repeating it changes nothing', async () => {
    const { json: session } = await world.send('/api/sessions', { method: 'POST', as: tenant.apiKey, body: interview });
    const id = session.session_id as string;
    await world.db.query(
      "insert into public.realtime_calls (session_id, tenant_id, ordinal, epoch, provider) values ($1, $2, 1, 1, 'openai')",
      [id, tenant.id],
    );
    await world.db.query(
      "insert into public.transcript_entries (session_id, tenant_id, call_ordinal, item_id, speaker, text, verified) values ($1, $2, 1, 'item_1', 'ai', 'What was heard', true)",
      [id, tenant.id],
    );
    const token = await world.deps.browserTokens.mintTranscript({ session_id: id, tenant_id: tenant.id }, 60_000);
    const authorization = `Bearer ${token}`;
    const entries = [
      { ordinal: 1, item_id: 'item_1', previous_item_id: null, speaker: 'ai', text: 'What was claimed' },
      {
        ordinal: 1,
        item_id: 'item_2',
        previous_item_id: 'item_1',
        speaker: 'candidate',
        text: 'What was said offline',
      },
      { ordinal: 9, item_id: 'item_3', previous_item_id: null, speaker: 'ai', text: 'In a call that never was' },
    ];
    for (const _time of [1, 2]) {
      const stored = await send(transcript.url, { entries }, { authorization });
      expect([stored.status, stored.json]).toEqual([200, { item_ids: ['item_1', 'item_2'] }]);
    }
    const { rows } = await world.db.query(
      'select item_id, text, verified from public.transcript_entries where session_id = $1 order by item_id',
      [id],
    );
    expect(rows).toEqual([
      { item_id: 'item_1', text: 'What was heard', verified: true },
      { item_id: 'item_2', text: 'What was said offline', verified: false },
    ]);
    await world.db.query('select app.erase_transcript($1)', [id]);
    expect((await send(transcript.url, { entries }, { authorization })).status).toBe(410);
    const join = await world.deps.browserTokens.mintJoin({ session_id: id, tenant_id: tenant.id });
    expect((await send(transcript.url, { entries }, { authorization: `Bearer ${join}` })).status).toBe(401);
  });

  test('GET of each function reports its health with the database and orchestrator up, and with one of them away', async () => {
    const stateOf = async (one: ServedFunction) => {
      const answer = await fetch(one.url);
      return { status: answer.status, ...((await answer.json()) as object) };
    };
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    const well = { status: 200, ok: true, version, database: 'ok', orchestrator: 'ok' };
    expect(await stateOf(transcript)).toEqual(well);
    expect(await stateOf(start)).toEqual({ ...well, database: 'not_used' });
    await world.supabase.postgrest.stop();
    await expect
      .poll(() => stateOf(transcript), { timeout: 60_000, interval: 500 })
      .toEqual({ ...well, status: 503, ok: false, database: 'unavailable' });
    await world.supabase.postgrest.start();
    await expect.poll(() => stateOf(transcript), { timeout: 60_000, interval: 500 }).toEqual(well);
  });

  test('no function sets a variable name that is reserved for the platform', async () => {
    const reserved = { SUPABASE_SECRET_KEY: 'k' };
    await expect(serveFunction('interview-start', world.supabase, reserved)).rejects.toThrow('SUPABASE_SECRET_KEY');
    expect(['interview-start', 'interview-transcript'].map(verifiesJwt)).toEqual([false, false]);
    expect(() => verifiesJwt('unknown')).toThrow('config.toml');
  });
});
