import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  exportJWK,
  generateKeyPair,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { secretKeyOf } from '../_shared/environment.ts';
import { createHealth, version } from '../_shared/health.ts';
import { createCors } from '../_shared/http.ts';
import { createStart } from '../_shared/start.ts';
import { createTranscript, type Uploaded } from '../_shared/transcript.ts';
import { readUpload } from '../_shared/upload.ts';

const supabaseUrl = 'https://project.supabase.co';
const issuer = 'https://interviews.example';
const sessionId = '11111111-1111-4111-8111-111111111111';
const tenantId = '22222222-2222-4222-8222-222222222222';

const pair = await generateKeyPair('ES256');
const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k', alg: 'ES256' }] });
const sign = (claims: JWTPayload, key = pair.privateKey) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .setIssuedAt()
    .setExpirationTime((claims.exp as number | undefined) ?? '5m')
    .sign(key);

function same(actual: unknown, expected: unknown, what = ''): void {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${what}: expected ${e}, got ${a}`);
}

const post = (body: unknown, headers: Record<string, string> = {}) =>
  new Request('https://functions.example/f', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

function makeStart(
  answer: () => Promise<Response> = () => Promise.resolve(new Response('{"ok":true}', { status: 201 })),
  ofKeys = keys,
) {
  const sent: Array<{ url: string; headers: Record<string, string>; body: string }> = [];
  const start = createStart({
    orchestratorUrl: 'https://orchestrator.example',
    supabaseUrl,
    keys: ofKeys,
    cors: createCors(['https://app.example'], 'authorization'),
    send: (url, init) => {
      sent.push({
        url,
        headers: init.headers as Record<string, string>,
        body: new TextDecoder().decode(init.body as Uint8Array<ArrayBuffer>),
      });
      return answer();
    },
    limitMs: 1_000,
    health: createHealth({ orchestrator: () => Promise.resolve(true) }),
  });
  return { start, sent };
}
const userClaims = { sub: tenantId, role: 'authenticated', iss: `${supabaseUrl}/auth/v1`, aud: 'authenticated' };

Deno.test("interview-start forwards a user's request with the user's credential and only the listed headers", async () => {
  const { start, sent } = makeStart();
  const token = await sign(userClaims);
  const answer = await start(
    post(
      { a: 1 },
      {
        authorization: `Bearer ${token}`,
        'idempotency-key': 'i',
        'greenroom-tenant': 'acme',
        cookie: 'secret=1',
        origin: 'https://app.example',
      },
    ),
  );
  same([answer.status, answer.headers.get('access-control-allow-origin')], [201, 'https://app.example']);
  same(sent.length, 1);
  same(sent[0]?.url, 'https://orchestrator.example/api/sessions');
  same(Object.keys(sent[0]?.headers ?? {}).sort(), [
    'authorization',
    'content-type',
    'greenroom-tenant',
    'idempotency-key',
  ]);
  same(sent[0]?.body, '{"a":1}');
});

Deno.test('interview-start refuses bad access tokens without calling the orchestrator', async () => {
  const { start, sent } = makeStart();
  const stranger = (await generateKeyPair('ES256')).privateKey;
  const wrong = {
    nothing: '',
    malformed: 'x',
    foreign: await sign(userClaims, stranger),
    expired: await sign({ ...userClaims, exp: 1 }),
    'another issuer': await sign({ ...userClaims, iss: issuer }),
    'another audience': await sign({ ...userClaims, aud: 'greenroom:join' }),
    'another role': await sign({ ...userClaims, role: 'service_role' }),
  };
  for (const [name, token] of Object.entries(wrong)) {
    const answer = await start(post({}, { authorization: `Bearer ${token}` }));
    same([answer.status, (await answer.json()).code], [401, 'unauthenticated'], name);
  }
  same(sent.length, 0);
});

Deno.test('interview-start forwards an API key, refuses a large body, and answers 503 without an orchestrator', async () => {
  const key = { authorization: `Bearer gr_live_${'k'.repeat(43)}` };
  const { start, sent } = makeStart();
  same((await start(post({}, key))).status, 201);
  same((await start(post('x'.repeat(70_000), key))).status, 413);
  same(sent.length, 1);
  const dead = makeStart(() => Promise.reject(new Error('refused')));
  const answer = await dead.start(post({}, key));
  same([answer.status, answer.headers.get('retry-after')], [503, '2']);
});

Deno.test('a preflight allows only listed origins, and other methods are refused', async () => {
  const { start } = makeStart();
  const ask = (origin: string) => start(new Request('https://f.example/', { method: 'OPTIONS', headers: { origin } }));
  same((await ask('https://app.example')).headers.get('access-control-allow-origin'), 'https://app.example');
  same((await ask('https://evil.example')).headers.get('access-control-allow-origin'), null);
  same((await start(new Request('https://f.example/', { method: 'PUT' }))).status, 405);
});

const entry = { ordinal: 1, item_id: 'item_1', previous_item_id: null, speaker: 'candidate', text: 'Hello' };
const transcriptClaims = {
  session_id: sessionId,
  tenant_id: tenantId,
  scope: 'transcript:append',
  iss: issuer,
  aud: 'greenroom:transcript',
};

function makeTranscript(result: Uploaded = { kind: 'stored', item_ids: ['item_1'] }, ofKeys = keys) {
  const uploads: unknown[][] = [];
  const transcript = createTranscript({
    issuer,
    keys: ofKeys,
    cors: createCors(['*'], 'authorization'),
    upload: (...given) => {
      uploads.push(given);
      return Promise.resolve(result);
    },
    health: createHealth({
      database: () => Promise.resolve(true),
      orchestrator: () => Promise.reject(new Error('away')),
    }),
  });
  return { transcript, uploads };
}

Deno.test('interview-transcript stores entries for the session named in the token', async () => {
  const { transcript, uploads } = makeTranscript();
  const authorization = `Bearer ${await sign(transcriptClaims)}`;
  const answer = await transcript(post({ entries: [entry] }, { authorization, origin: 'https://any.example' }));
  same([answer.status, await answer.json()], [200, { item_ids: ['item_1'] }]);
  same(uploads, [[sessionId, tenantId, [entry]]]);
});

Deno.test('interview-transcript refuses every other token', async () => {
  const { transcript, uploads } = makeTranscript();
  const wrong = {
    'a join token': await sign({ ...transcriptClaims, aud: 'greenroom:join' }),
    'another issuer': await sign({ ...transcriptClaims, iss: 'https://evil.example' }),
    'without the scope': await sign({ ...transcriptClaims, scope: 'join' }),
    expired: await sign({ ...transcriptClaims, exp: 1 }),
    foreign: await sign(transcriptClaims, (await generateKeyPair('ES256')).privateKey),
  };
  for (const [name, token] of Object.entries(wrong)) {
    same((await transcript(post({ entries: [entry] }, { authorization: `Bearer ${token}` }))).status, 401, name);
  }
  same(uploads.length, 0);
});

Deno.test('interview-transcript refuses invalid bodies', async () => {
  const { transcript, uploads } = makeTranscript();
  const authorization = `Bearer ${await sign(transcriptClaims)}`;
  const bodies: Array<[unknown, number]> = [
    ['{', 400],
    [{}, 422],
    [{ entries: [] }, 422],
    [{ entries: [{ ...entry, verified: true }] }, 422],
    [{ entries: [{ ...entry, text: 'a\u0000' }] }, 422],
    [{ entries: Array.from({ length: 1_001 }, () => entry) }, 422],
    [{ session_id: tenantId, entries: [entry] }, 404],
    ['x'.repeat(1_100_000), 413],
  ];
  for (const [body, status] of bodies) {
    same((await transcript(post(body, { authorization }))).status, status, JSON.stringify(body).slice(0, 60));
  }
  same(uploads.length, 0);
});

Deno.test('interview-transcript answers each result of the database with its own status', async () => {
  const authorization = `Bearer ${await sign(transcriptClaims)}`;
  for (const [kind, status] of [
    ['not_found', 404],
    ['erased', 410],
    ['too_many', 409],
    ['refused', 422],
    ['unavailable', 503],
  ] as const) {
    const { transcript } = makeTranscript({ kind });
    same((await transcript(post({ entries: [entry] }, { authorization }))).status, status, kind);
  }
  const { transcript } = makeTranscript({ kind: 'rate_limited', retry_after_ms: 1_200 });
  const limited = await transcript(post({ entries: [entry] }, { authorization }));
  same([limited.status, limited.headers.get('retry-after')], [429, '2']);
});

Deno.test('if the key set cannot be read, both functions answer 503 and not 401', async () => {
  const ways: Record<string, () => Promise<Response>> = {
    'no answer': () => Promise.reject(new TypeError('fetch failed')),
    'in trouble': () => Promise.resolve(new Response('', { status: 502 })),
    'not JSON': () => Promise.resolve(new Response('<html>')),
    'not a key set': () => Promise.resolve(Response.json({})),
  };
  const [uploader, user] = await Promise.all([sign(transcriptClaims), sign(userClaims)]);
  for (const [name, answer] of Object.entries(ways)) {
    const away = createRemoteJWKSet(new URL('https://keys.example'), { [customFetch]: answer }) as typeof keys;
    const { transcript, uploads } = makeTranscript(undefined, away);
    const answered = await transcript(post({ entries: [entry] }, { authorization: `Bearer ${uploader}` }));
    same([answered.status, answered.headers.get('retry-after'), uploads.length], [503, '5', 0], name);
    const { start, sent } = makeStart(undefined, away);
    same([(await start(post({}, { authorization: `Bearer ${user}` }))).status, sent.length], [503, 0], name);
  }
});

Deno.test('an error about unknown fields is short, however many fields were sent', async () => {
  const { transcript } = makeTranscript();
  const token = await sign(transcriptClaims);
  const fields = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`field_${n}`, n]));
  const answer = await transcript(post({ entries: [entry], ...fields }, { authorization: `Bearer ${token}` }));
  const text = await answer.text();
  same([answer.status, text.length < 1_000], [422, true]);
});

Deno.test('GET returns the health of each function without a credential', async () => {
  const get = () => new Request('https://f.example/');
  const started = await makeStart().start(get());
  same([started.status, await started.json()], [200, { ok: true, version, database: 'not_used', orchestrator: 'ok' }]);
  const { transcript, uploads } = makeTranscript();
  const answer = await transcript(get());
  same(
    [answer.status, await answer.json()],
    [503, { ok: false, version, database: 'ok', orchestrator: 'unavailable' }],
  );
  same(uploads, []);
});

Deno.test('the health is checked at most once in five seconds', async () => {
  let asked = 0;
  let nowMs = 0;
  const database = () => {
    asked += 1;
    return Promise.resolve(true);
  };
  const health = createHealth({ database }, () => nowMs);
  await Promise.all(Array.from({ length: 100 }, health));
  nowMs = 4_999;
  await health();
  same(asked, 1);
  nowMs = 5_000;
  await health();
  same(asked, 2);
});

Deno.test('the secret key is read from the variables of new and of legacy projects', () => {
  const keyIn = (environment: Record<string, string>) => {
    try {
      return secretKeyOf((name) => environment[name]);
    } catch (error) {
      return (error as Error).message.split(':')[0];
    }
  };
  same(keyIn({ SUPABASE_SECRET_KEYS: '{"a":"sb_secret_a","default":"sb_secret_d"}' }), 'sb_secret_d');
  same(keyIn({ SUPABASE_SECRET_KEYS: '{"a":"sb_secret_a"}', SUPABASE_SERVICE_ROLE_KEY: 'old' }), 'sb_secret_a');
  same(keyIn({ SUPABASE_SERVICE_ROLE_KEY: 'old' }), 'old');
  same(keyIn({}), 'SUPABASE_SECRET_KEYS is missing');
  for (const wrong of ['{}', 'sb_secret_a', '[]', 'null', '{"default":""}'])
    same(keyIn({ SUPABASE_SECRET_KEYS: wrong }), 'SUPABASE_SECRET_KEYS holds no key', wrong);
});

Deno.test('only a well-formed result of upload_transcript counts as stored', () => {
  const ok = (data: unknown, status = 200) => readUpload({ data, error: null, status });
  same(ok({ kind: 'stored', item_ids: ['a'] }), { kind: 'stored', item_ids: ['a'] });
  same(ok({ kind: 'too_many' }), { kind: 'too_many' });
  for (const foreign of [null, '', [], { status: 'ok' }, { kind: 'stored' }, { kind: 'unavailable' }])
    same(ok(foreign), { kind: 'unavailable' }, JSON.stringify(foreign));
  same(ok(null, 204), { kind: 'unavailable' });
  const failed = (code: string) => readUpload({ data: null, error: { code }, status: 400 });
  same([failed('22P05').kind, failed('57014').kind, failed('').kind], ['refused', 'unavailable', 'unavailable']);
});
