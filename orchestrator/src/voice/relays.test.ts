import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { iceServersFor } from './relays.ts';

const clock = { now: () => 1_000_000_000_000 };
const turn = { urls: ['turn:relay.example:3478?transport=tcp'] };
const stun = { urls: ['stun:relay.example:3478'] };

test('a relay gets a credential by the secret that outlives the session by ten minutes', () => {
  const [server] = iceServersFor('s1', 3_600_000, { servers: [turn], secret: 'shared' }, clock);
  const username = `${1_000_000_000 + 3_600 + 600}:s1`;
  const credential = createHmac('sha1', 'shared').update(username).digest('base64');
  expect(server).toEqual({ ...turn, username, credential });
});

test('a STUN server and a relay with a credential of its own stay as they are', () => {
  const own = { ...turn, username: 'u', credential: 'c' };
  expect(iceServersFor('s1', 0, { servers: [stun, own], secret: 'shared' }, clock)).toEqual([stun, own]);
});

test('without a secret the servers are passed on', () => {
  expect(iceServersFor('s1', 0, { servers: [turn], secret: null }, clock)).toEqual([turn]);
});
