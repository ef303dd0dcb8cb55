import { randomBytes } from 'node:crypto';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { Webhook } from 'standardwebhooks';
import { describe, expect, test } from 'vitest';
import type { AttemptLog, DeliveryNews, TakenDelivery } from '../database/webhook-store.ts';
import type { GuardedAnswer } from '../net/guard.ts';
import { noTracing } from '../testing.ts';
import { createVault, webhookContext } from '../tokens/vault.ts';
import { createSender, judge, retryScheduleMs } from './sender.ts';
import { newWebhookSecret, signMessage } from './signing.ts';

const answered = (status: number, retryAfter?: string): GuardedAnswer => ({
  kind: 'answered',
  status,
  retryAfter,
  head: 'thanks',
});

describe('the result of a delivery attempt', () => {
  test.each<[string, GuardedAnswer, number, Partial<DeliveryNews>]>([
    ['200', answered(200), 1, { outcome: 'delivered', error: null }],
    ['204', answered(204), 10, { outcome: 'delivered' }],
    ['a redirect', answered(302), 1, { outcome: 'retry', error: 'HTTP 302', retryMs: 5_000 }],
    ['400', answered(400), 2, { outcome: 'retry', retryMs: 300_000 }],
    ['410', answered(410), 1, { outcome: 'gone' }],
    ['503 and a longer Retry-After', answered(503, '600'), 1, { outcome: 'retry', retryMs: 600_000 }],
    ['503 and a shorter Retry-After', answered(503, '1'), 2, { outcome: 'retry', retryMs: 300_000 }],
    ['503 and an invalid Retry-After', answered(503, 'Friday'), 1, { outcome: 'retry', retryMs: 5_000 }],
    ['503 and a Retry-After of a year', answered(503, '31536000'), 1, { outcome: 'retry', retryMs: 86_400_000 }],
    [
      'no response at all',
      { kind: 'failed', why: 'ECONNREFUSED' },
      1,
      { outcome: 'retry', status: null, error: 'ECONNREFUSED' },
    ],
    [
      'a refusal by the guard because the address is private',
      { kind: 'refused', why: 'not a public address' },
      9,
      { outcome: 'retry', error: 'refused: not a public address' },
    ],
    ['500 in the last attempt', answered(500), 10, { outcome: 'dead' }],
  ])('the result of a delivery attempt is right for %s', (_name, answer, attempt, news) => {
    expect(judge(answer, attempt, 0)).toMatchObject(news);
  });

  test('a retry waits up to a tenth longer than scheduled, by chance', () => {
    expect(judge(answered(500), 1, 0.5).retryMs).toBe(5_250);
    expect(judge(answered(500), 1, 1).retryMs).toBe(5_500);
  });

  test('the waits between attempts grow and add up to more than three days', () => {
    expect(retryScheduleMs.toSorted((a, b) => a - b)).toEqual([...retryScheduleMs]);
    expect(retryScheduleMs.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThan(3 * 86_400_000);
  });
});

test('a signed message verifies with either of its secrets; another secret or a changed body does not verify', () => {
  const [old, fresh, other] = [newWebhookSecret(), newWebhookSecret(), newWebhookSecret()];
  const { headers, body } = signMessage('id-1', Date.now(), { type: 'x' }, [fresh, old]);
  for (const secret of [old, fresh]) expect(new Webhook(secret).verify(body, headers)).toEqual({ type: 'x' });
  expect(() => new Webhook(other).verify(body, headers)).toThrow();
  expect(() => new Webhook(fresh).verify(`${body} `, headers)).toThrow();
});

describe('the sender', () => {
  const vault = createVault(randomBytes(32));
  const secret = newWebhookSecret();
  const delivery = (id: string, changes: Partial<TakenDelivery> = {}): TakenDelivery => ({
    id,
    tenant_id: 't',
    webhook_id: 'w',
    url: 'https://x.example/',
    attempt: 1,
    payload: { type: 'session.ready' },
    secret_ciphertext: vault.seal(secret, webhookContext('w')),
    previous_secret_ciphertext: null,
    session_id: null,
    traceparent: null,
    ...changes,
  });
  const make = (rounds: TakenDelivery[][], answer: () => Promise<GuardedAnswer> = async () => answered(200)) => {
    const takes: number[] = [];
    const recorded: Array<[string, DeliveryNews, AttemptLog]> = [];
    const posted: Array<Record<string, string>> = [];
    const sender = createSender({
      webhooks: {
        take: async ({ limit }) => {
          takes.push(limit);
          return rounds.shift() ?? [];
        },
        record: async ({ id }, news, log) => {
          recorded.push([id, news, log]);
          return true;
        },
      },
      guard: {
        post: async (_url, { headers }) => {
          posted.push(headers);
          return answer();
        },
      },
      vault,
      clock: createFakeClock(),
      logger: silentLogger(),
      tracing: noTracing,
    });
    return { sender, recorded, posted, takes };
  };

  test('the sender takes more deliveries as soon as there is room, without waiting for the next tick', async () => {
    const full = Array.from({ length: 64 }, (_, n) => delivery(`a${n}`));
    const { sender, recorded } = make([full, [delivery('b')]]);
    await sender.run();
    await sender.idle();
    expect(recorded).toHaveLength(65);
  });

  test('attempts that hang do not delay the next ones: only their own slots stay occupied', async () => {
    const hang = new Promise<GuardedAnswer>(() => undefined);
    const answers = [...Array.from({ length: 16 }, () => hang), Promise.resolve(answered(200))];
    const hanging = Array.from({ length: 16 }, (_, n) => delivery(`h${n}`));
    const { sender, recorded, takes } = make([hanging, [delivery('good')]], () => answers.shift() ?? hang);
    await sender.run();
    await sender.run();
    await expect.poll(() => recorded.map(([id]) => id)).toEqual(['good']);
    expect(takes.slice(0, 2)).toEqual([64, 48]);
  });

  test('a current secret that cannot be decrypted delays only its own delivery; a previous one is skipped', async () => {
    const foreign = createVault(randomBytes(32)).seal('x', webhookContext('w'));
    const { sender, recorded, posted } = make([
      [
        delivery('bad', { secret_ciphertext: foreign }),
        delivery('good', { previous_secret_ciphertext: foreign }),
        delivery('moved', { webhook_id: 'another' }),
      ],
    ]);
    await sender.run();
    await sender.idle();
    expect(Object.fromEntries(recorded.map(([id, , { answer }]) => [id, answer]))).toEqual({
      ...{ bad: null, good: 'thanks', moved: null },
    });
    const outcomes = Object.fromEntries(recorded.map(([id, news]) => [id, news.outcome]));
    expect(outcomes).toEqual({ bad: 'retry', good: 'delivered', moved: 'retry' });
    expect(posted).toHaveLength(1);
    expect(posted[0]?.['webhook-signature']?.split(' ')).toHaveLength(1);
  });
});
