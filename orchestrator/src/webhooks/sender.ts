import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { DeliveryNews, TakenDelivery, WebhookStore } from '../database/webhook-store.ts';
import type { Guard, GuardedAnswer } from '../net/guard.ts';
import { type Vault, webhookContext } from '../tokens/vault.ts';
import type { SpanNotes, Tracing } from '../tracing/tracing.ts';
import { signMessage } from './signing.ts';

/**
 * Sends the webhook deliveries that are due.
 *
 * - Delivery is at least once. Any orchestrator takes due deliveries; if it dies, another one takes them again.
 *   A message may therefore arrive twice, with the same id.
 * - An attempt starts as soon as there is room, independently of other attempts, so an endpoint that hangs does
 *   not delay other endpoints. The database limits the concurrent attempts per endpoint and per tenant, for all
 *   orchestrators together.
 * - 2xx means delivered. 410 disables the endpoint. Anything else, including a URL that the guard refuses, is
 *   retried on the schedule of Standard Webhooks. After the last attempt the delivery is dead; the tenant can
 *   replay it.
 * - Retries are spread: each waits up to a tenth longer than scheduled, so that an endpoint that was away does not get
 *   everything at once.
 * - Of the endpoint's answer its status and its beginning are stored, in the delivery's log.
 */
export interface SenderDeps {
  webhooks: Pick<WebhookStore, 'take' | 'record'>;
  guard: Pick<Guard, 'post'>;
  vault: Vault;
  clock: Clock;
  logger: Logger;
  bounds?: Partial<SenderBounds>;
  /** A number from 0 to 1. @default Math.random */
  random?: () => number;
  /** Called after each attempt. @default none */
  onOutcome?: (outcome: DeliveryNews['outcome']) => void;
  tracing: Pick<Tracing, 'forSession' | 'span'>;
}

/** How many attempts may be under way at once. */
export interface SenderBounds {
  /** In this process. Default 64. */
  perProcess: number;
  /** To one endpoint, all orchestrators together. Default 8; 1 while it keeps failing. */
  perEndpoint: number;
  /** To all endpoints of one tenant, all orchestrators together. Default 16. */
  perTenant: number;
}

export const senderBounds: SenderBounds = { perProcess: 64, perEndpoint: 8, perTenant: 16 };

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
/** How long a delivery is reserved for the orchestrator that took it. Longer than one attempt. */
const takenMs = 60 * seconds;
const maxRetryAfterMs = 24 * hours;

const retryAfterMs = (header: string | undefined): number => {
  const value = Number(header);
  return header !== undefined && Number.isFinite(value) ? Math.min(Math.max(0, value * seconds), maxRetryAfterMs) : 0;
};

/** Spreads retries: the wait becomes up to this part longer. */
const jitter = 0.1;

/**
 * @param attempt 1 for the first
 * @param chance a random number from 0 to 1
 */
export function judge(answer: GuardedAnswer, attempt: number, chance: number): DeliveryNews {
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
    retryMs: Math.round(Math.max(scheduled, answered ? retryAfterMs(answer.retryAfter) : 0) * (1 + jitter * chance)),
  };
}

export interface Sender {
  /** Starts the attempts that are due, up to the limits. Does not wait for them to finish. */
  run(): Promise<void>;
  /** Resolves when no attempt is running. */
  idle(): Promise<void>;
  /** Starts no more attempts and waits for the running ones, each at most 15 s. */
  stop(): Promise<void>;
}

export function createSender({ webhooks, guard, vault, clock, logger, bounds, ...deps }: SenderDeps): Sender {
  const { onOutcome = () => undefined, random = Math.random, tracing } = deps;
  const { perProcess, perEndpoint, perTenant } = { ...senderBounds, ...bounds };
  const underWay = new Set<Promise<void>>();
  let stopped = false;
  /** The last take returned deliveries, so there may be more. */
  let more = false;
  let taking = false;
  let again = false;

  /** The current secret must decrypt. The previous one is skipped if its encryption key no longer exists. */
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

  const attempt = async (delivery: TakenDelivery, span: SpanNotes): Promise<void> => {
    const startedMs = clock.now();
    const answer = await send(delivery).catch((error: unknown): GuardedAnswer => {
      logger.error({ tenant_id: delivery.tenant_id, error }, 'could not sign a webhook delivery');
      return { kind: 'failed', why: 'internal error' };
    });
    const news = judge(answer, delivery.attempt, random());
    await webhooks.record(delivery, news, {
      ms: clock.now() - startedMs,
      answer: answer.kind === 'answered' ? answer.head : null,
    });
    const { outcome, status } = news;
    onOutcome(outcome);
    span.set({ outcome });
    logger.info(
      { tenant_id: delivery.tenant_id, attempt: delivery.attempt, outcome, status_code: status ?? undefined },
      'webhook delivery attempted',
    );
  };

  const traced = (delivery: TakenDelivery): Promise<void> => {
    const { attempt: number, tenant_id } = delivery;
    return tracing
      .span('deliver webhook', { fields: { attempt: number } }, (span) => attempt(delivery, span))
      .catch((error: unknown) =>
        logger.warn({ tenant_id, error }, 'could not store the result of a webhook delivery; it will be sent again'),
      );
  };

  const begin = (delivery: TakenDelivery): void => {
    const task = tracing
      .forSession(delivery, () => traced(delivery))
      .finally(() => {
        underWay.delete(task);
        // An error of the database is logged by the next tick.
        if (more && underWay.size <= perProcess / 2) void run().catch(() => undefined);
      });
    underWay.add(task);
  };

  const takeRound = async (): Promise<void> => {
    const room = perProcess - underWay.size;
    if (room <= 0) return;
    const taken = await webhooks.take({ limit: room, takenMs, perEndpoint, perTenant });
    more = taken.length > 0;
    taken.forEach(begin);
  };

  const run = async (): Promise<void> => {
    again = true;
    if (taking) return;
    taking = true;
    try {
      while (again && !stopped) {
        again = false;
        await takeRound();
      }
    } finally {
      taking = false;
    }
  };

  const idle = async (): Promise<void> => {
    while (underWay.size > 0) await Promise.all(underWay);
  };

  return {
    run,
    idle,
    stop: () => {
      stopped = true;
      return idle();
    },
  };
}
