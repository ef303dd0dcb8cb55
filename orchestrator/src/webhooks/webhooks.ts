import type { Database } from '@greenroom/shared/database/client.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { createWebhookStore, type DeliveryNews } from '../database/webhook-store.ts';
import type { Guard } from '../net/guard.ts';
import type { Job } from '../runtime/ticker.ts';
import type { Vault } from '../tokens/vault.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { createSender } from './sender.ts';

/** Creates the webhook store, the sender and their periodic jobs. */
export interface WebhooksDeps {
  database: Database;
  guard: Guard;
  vault: Vault;
  clock: Clock;
  logger: Logger;
  /** Called with the outcome of each attempt. */
  onOutcome: (outcome: DeliveryNews['outcome']) => void;
  tracing: Tracing;
}

export function createWebhooks({ database, ...deps }: WebhooksDeps) {
  const webhooks = createWebhookStore(database);
  const sender = createSender({ ...deps, webhooks });
  const jobs: Job[] = [{ name: 'webhooks', everyMs: 1_000, run: sender.run }];
  return { webhooks, sender, jobs };
}
