import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { WebhookError } from './errors.ts';
import { verifyWebhook } from './webhooks.ts';

const secretOf = (letter: string) => `whsec_${Buffer.from(letter.repeat(32)).toString('base64')}`;
const [secret, other] = [secretOf('a'), secretOf('b')];
const event = { type: 'result.done', timestamp: '2026-11-26T12:00:00Z', data: { session_id: 's1', name: 'Zoë' } };
const body = JSON.stringify(event);
const signed = (by: string[], at = new Date()) => ({
  'webhook-id': 'm1',
  'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
  'webhook-signature': by.map((one) => new Webhook(one).sign('m1', at, body)).join(' '),
});

test.each([
  ['as text, with the headers of Node', body, signed([secret]), secret],
  ['as bytes, with the headers of a Request', new TextEncoder().encode(body), new Headers(signed([secret])), secret],
  ['signed by the new and the old secret', body, signed([other, secret]), secret],
  ['checked with the new and the old secret', body, signed([secret]), [other, secret]],
])('a message %s is verified', async (_what, given, headers, by) => {
  expect(await verifyWebhook({ body: given, headers, secret: by })).toEqual({ id: 'm1', ...event });
});

test.each([
  ['was changed', body.replace('done', 'dead'), signed([secret]), secret],
  ['was signed by somebody else', body, signed([other]), secret],
  ['has another id', body, { ...signed([secret]), 'webhook-id': 'm2' }, secret],
  ['is old', body, signed([secret], new Date(Date.now() - 400_000)), secret],
  ['is from the future', body, signed([secret], new Date(Date.now() + 400_000)), secret],
  ['has a time that is no number', body, { ...signed([secret]), 'webhook-timestamp': 'NaN' }, secret],
  ['has no signature', body, { ...signed([secret]), 'webhook-signature': undefined }, secret],
  ['has a signature that is no base64', body, { ...signed([secret]), 'webhook-signature': 'v1,% v2,a v1,' }, secret],
])('a message that %s is refused', async (_what, given, headers, by) => {
  await expect(verifyWebhook({ body: given, headers, secret: by })).rejects.toBeInstanceOf(WebhookError);
});

test('an empty secret is an error of the caller, and verifies nothing', async () => {
  await expect(verifyWebhook({ body, headers: signed([secret]), secret: '' })).rejects.toBeInstanceOf(TypeError);
});
