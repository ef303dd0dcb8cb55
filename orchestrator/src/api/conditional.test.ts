import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { registerAccept } from './accept.ts';
import { registerConditional, tagOf, unchangedSince } from './conditional.ts';
import { registerErrors } from './problems.ts';

const position = { title: 'Engineer', updated_at: '2026-11-27T10:00:00Z' };
const session = (token: string) => ({ websocket_url: 'wss://x', join_token: token, join_url: null, status: 'ready' });

async function appWith() {
  const app = Fastify();
  registerErrors(app, silentLogger());
  registerAccept(app);
  registerConditional(app);
  let token = 0;
  let stored = position;
  app.get('/api/position', async () => stored);
  app.get('/api/session', async () => {
    token += 1;
    return session(`token-${token}`);
  });
  app.patch('/api/position', { config: { ifMatch: true } }, async (request) => {
    const since = await unchangedSince(request, async () => stored);
    stored = { ...(request.body as typeof position) };
    return { ...stored, since };
  });
  app.delete('/api/position', async () => 'gone');
  await app.ready();
  return app;
}

test('an unchanged answer is 304 without a body; a changed one is sent with its new tag', async () => {
  const app = await appWith();
  const first = await app.inject('/api/position');
  const tag = first.headers.etag as string;
  expect([first.statusCode, tag]).toEqual([200, tagOf(position)]);
  const again = await app.inject({ url: '/api/position', headers: { 'if-none-match': `"other", W/${tag}` } });
  expect([again.statusCode, again.body, again.headers.etag]).toEqual([304, '', tag]);
  await app.inject({ method: 'PATCH', url: '/api/position', payload: { ...position, title: 'Other' } });
  const changed = await app.inject({ url: '/api/position', headers: { 'if-none-match': tag } });
  expect(changed.statusCode).toBe(200);
  expect(changed.headers.etag).not.toBe(tag);
});

test('the join token, made anew for each answer, does not change the tag of a session; everything else does', async () => {
  const app = await appWith();
  const [one, two] = [await app.inject('/api/session'), await app.inject('/api/session')];
  expect(one.body).not.toBe(two.body);
  expect(one.headers.etag).toBe(two.headers.etag);
  expect(tagOf({ ...session('a'), status: 'ended' })).not.toBe(tagOf(session('a')));
  expect(tagOf({ plan: 'a' })).not.toBe(tagOf({ plan: 'b' }));
});

test('a change with If-Match is made once: the second with the same tag is 412', async () => {
  const app = await appWith();
  const tag = tagOf(position);
  const change = (title: string) =>
    app.inject({
      ...{ method: 'PATCH', url: '/api/position', headers: { 'if-match': tag } },
      payload: { title, updated_at: '2026-11-27T11:00:00Z' },
    });
  const first = await change('First');
  expect([first.statusCode, first.json().since]).toEqual([200, position.updated_at]);
  const second = await change('Second');
  expect([second.statusCode, second.json().code]).toEqual([412, 'precondition_failed']);
});

test('If-Match is refused where it would not be compared', async () => {
  const app = await appWith();
  const answer = await app.inject({ method: 'DELETE', url: '/api/position', headers: { 'if-match': '*' } });
  expect([answer.statusCode, answer.json().errors[0].field]).toEqual([422, 'if-match']);
});

test('a read that allows no form of the answer is 406; a change is not refused for it', async () => {
  const app = await appWith();
  const status = async (method: 'GET' | 'DELETE', accept: string) =>
    (await app.inject({ method, url: '/api/position', headers: { accept } })).statusCode;
  expect(await status('GET', 'text/html')).toBe(406);
  expect(await status('GET', 'application/json;q=0')).toBe(406);
  expect(await status('GET', 'text/html, application/*;q=0.1')).toBe(200);
  expect(await status('GET', '*/*')).toBe(200);
  expect(await status('DELETE', 'text/html')).toBe(200);
});
