import type { Database } from '@greenroom/shared/database/client.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { createWebhookStore, type DeliveryNews } from '../database/webhook-store.ts';
import type { Guard } from '../net/guard.ts';
import type { Job } from '../runtime/ticker.ts';
import type { Vault } from '../tokens/vault.ts';
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
}

export function createWebhooks({ database, guard, vault, clock, logger, onOutcome }: WebhooksDeps) {
  const webhooks = createWebhookStore(database);
  const sender = createSender({ webhooks, guard, vault, clock, logger, onOutcome });
  const jobs: Job[] = [{ name: 'webhooks', everyMs: 1_000, run: sender.run }];
  return { webhooks, sender, jobs };
}
