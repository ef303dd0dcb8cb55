import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { readRetryAfter } from '@greenroom/shared/runtime/retry-after.ts';
import type { DeliveryNews, TakenDelivery, WebhookStore } from '../database/webhook-store.ts';
import type { Guard, GuardedAnswer } from '../net/guard.ts';
import { type Vault, webhookContext } from '../tokens/vault.ts';
import { signMessage } from './signing.ts';

/**
 * Empties the outbox of webhooks.
 *
 * W1  Any orchestrator takes what is due; one that dies leaves its deliveries to be taken again. So a message may come
 *     twice, under the same id, and never not at all while its endpoint answers within a week.
 * W2  2xx is delivered. 410 switches the endpoint off. Anything else, also a URL that the guard refuses today, is tried
 *     again on a schedule (that of Standard Webhooks), then given up; a tenant may replay it.
 * W3  Of what the other side answers nothing is kept but the status.
 */
export interface SenderDeps {
  webhooks: Pick<WebhookStore, 'take' | 'record'>;
  guard: Pick<Guard, 'post'>;
  vault: Vault;
  clock: Clock;
  logger: Logger;
}

const seconds = 1_000;
const minutes = 60 * seconds;
const hours = 60 * minutes;
/** Waits after the first, second, … failed attempt. */
export const retryScheduleMs = [
  5 * seconds,
  5 * minutes,
  30 * minutes,
  2 * hours,
  5 * hours,
  10 * hours,
  14 * hours,
  20 * hours,
  24 * hours,
] as const;

const requestMs = 15 * seconds;
/** A take outlasts the attempt it is for. */
const takenMs = 60 * seconds;
const perRound = 20;
const maxRetryAfterMs = 24 * hours;

/** W2. @param attempt 1 for the first. */
export function judge(answer: GuardedAnswer, attempt: number): DeliveryNews {
  const answered = answer.kind === 'answered';
  const status = answered ? answer.status : null;
  if (status !== null && status >= 200 && status < 300)
    return { outcome: 'delivered', status, error: null, retryMs: null };
  const error = answered ? `HTTP ${status}` : answer.kind === 'refused' ? `refused: ${answer.why}` : answer.why;
  if (status === 410) return { outcome: 'gone', status, error, retryMs: null };
  const scheduled = retryScheduleMs[attempt - 1];
  if (scheduled === undefined) return { outcome: 'dead', status, error, retryMs: null };
  return {
    outcome: 'retry',
    status,
    error,
    retryMs: Math.max(scheduled, (answered ? readRetryAfter(answer.retryAfter, maxRetryAfterMs) : undefined) ?? 0),
  };
}

export function createSender({ webhooks, guard, vault, clock, logger }: SenderDeps) {
  /** The present secret must open; one before it may have been encrypted with a key that is gone. */
  const secretsOf = (delivery: TakenDelivery): string[] => {
    const context = webhookContext(delivery.webhook_id);
    const secrets = [vault.open(delivery.secret_ciphertext, context)];
    if (delivery.previous_secret_ciphertext === null) return secrets;
    try {
      return [...secrets, vault.open(delivery.previous_secret_ciphertext, context)];
    } catch {
      return secrets;
    }
  };

  const send = async (delivery: TakenDelivery): Promise<GuardedAnswer> => {
    const message = signMessage(delivery.id, clock.now(), delivery.payload, secretsOf(delivery));
    return guard.post(delivery.url, { ...message, limitMs: requestMs });
  };

  const attempt = async (delivery: TakenDelivery): Promise<void> => {
    const answer = await send(delivery).catch((error: unknown): GuardedAnswer => {
      logger.error({ tenant_id: delivery.tenant_id, error }, 'a webhook could not be signed');
      return { kind: 'failed', why: 'internal error' };
    });
    const news = judge(answer, delivery.attempt);
    await webhooks.record(delivery, news);
    const { outcome, status } = news;
    logger.info(
      { tenant_id: delivery.tenant_id, attempt: delivery.attempt, outcome, status_code: status ?? undefined },
      'webhook attempted',
    );
  };

  return {
    /** One round; again at once while there is a full one. */
    run: async (): Promise<void> => {
      for (;;) {
        const taken = await webhooks.take(perRound, takenMs);
        const done = await Promise.allSettled(taken.map(attempt));
        const failed = done.find((one) => one.status === 'rejected');
        if (failed) throw failed.reason;
        if (taken.length < perRound) return;
      }
    },
  };
}
