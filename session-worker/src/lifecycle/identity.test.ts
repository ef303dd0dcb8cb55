import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { expect, test } from 'vitest';
import { createIdentity } from './identity.ts';

function setUp() {
  const clock = createFakeClock();
  const fly = { asked: 0, status: 200 };
  const http = Object.assign(
    async () => {
      fly.asked += 1;
      return { status: fly.status, headers: {}, body: `a.b.${fly.asked}` };
    },
    { close: async () => undefined },
  );
  return { clock, fly, identity: createIdentity({ http, audience: 'https://x.example', clock }) };
}

test('a token is used for a minute, then Fly is asked for another', async () => {
  const { clock, identity } = setUp();
  expect([await identity(), await identity()]).toEqual(['a.b.1', 'a.b.1']);
  await clock.advance(59_999);
  expect(await identity()).toBe('a.b.1');
  await clock.advance(1);
  expect(await identity()).toBe('a.b.2');
});

test('after a refusal Fly is asked for a new token', async () => {
  const { identity } = setUp();
  await identity();
  expect(identity.forget()).toBe(false);
  await identity();
  await identity();
  expect(identity.forget()).toBe(true);
  expect(await identity()).toBe('a.b.3');
  expect(identity.forget()).toBe(false);
});

test('an answer without a token is not kept', async () => {
  const { fly, identity } = setUp();
  fly.status = 503;
  await expect(identity()).rejects.toThrow('Fly gave no identity token (status 503)');
  fly.status = 200;
  expect(await identity()).toBe('a.b.2');
});
