import type { Database } from '@greenroom/shared/database/client.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { hardDeadlineMs } from '@greenroom/shared/session/deadlines.ts';
import type { Config } from '../config.ts';
import { createVideoStore } from '../database/video-store.ts';
import type { Vault } from '../tokens/vault.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { createVideoClient, type ObserveVideo } from './client.ts';
import { createVideoOffers } from './offers.ts';
import { createRecordings } from './recordings.ts';
import { createVideoStep } from './steps.ts';
import { videoWebhookRoutes } from './webhook.ts';
import { createVideoWorker } from './worker.ts';

/** Creates everything that deals with recordings, or null if no API key of api.video is set. */
export interface VideoDeps {
  config: Pick<Config, 'video' | 'deadlines'>;
  database: Database;
  vault: Vault;
  clock: Clock;
  logger: Logger;
  onChange: (sessionId: string) => void;
  tracing: Tracing;
  /** Observes each request to api.video. */
  observe: ObserveVideo;
}

export function createVideo({ config, database, vault, clock, logger, onChange, tracing, observe }: VideoDeps) {
  if (config.video === null) return null;
  const { url, apiKey, webhookSecret } = config.video;
  const { videoRequestMs: requestMs, videoGraceMs: graceMs } = config.deadlines;
  const videos = createVideoStore(database);
  const client = createVideoClient({ url, apiKey, requestMs, draw: videos.drawLimits, logger, observe });
  const tokenSlackMs = hardDeadlineMs(config.deadlines, 0) + graceMs;
  const step = createVideoStep({ videos, client, vault, tokenSlackMs, logger });
  return {
    recordings: createRecordings({ videos, client, clock }),
    offers: createVideoOffers({ videos, vault, uploadUrl: url, clock, logger }),
    worker: createVideoWorker({ videos, client, step, requestMs, graceMs, logger, onChange, tracing }),
    /** Null without a webhook secret: recordings are then only polled. */
    webhookRoutes: webhookSecret === null ? null : videoWebhookRoutes({ secret: webhookSecret, videos, logger }),
    close: client.close,
  };
}
