import type { VideoOffer } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { OfferRow, VideoStore } from '../database/video-store.ts';
import type { Vault } from '../tokens/vault.ts';
import { tokenContext } from './steps.ts';

/**
 * The video offer in the answer to a heartbeat: where the browser uploads the session's recording.
 *
 * - A recording never makes a heartbeat fail, and delays it as little as possible: database reads are batched,
 *   results are cached, and after an error the answer has no offer this time.
 * - An upload token is decrypted only for the worker of its own session, and cached in clear text for at most
 *   `cacheMs`.
 */
export interface VideoOffers {
  /**
   * The newest open recording, if there is one. Never throws.
   * @param ordinal the recording that the browser needs. If it is higher than the newest, the next one is
   * requested.
   */
  of(sessionId: string, ordinal?: number): Promise<VideoOffer | undefined>;
}

export interface VideoOffersDeps {
  videos: Pick<VideoStore, 'offer' | 'want'>;
  vault: Vault;
  /** Base URL of api.video, to which browsers upload. */
  uploadUrl: string;
  clock: Clock;
  logger: Logger;
  /** Default 30 s. */
  cacheMs?: number;
}

type Known = { kind: 'recordsNothing' } | { kind: 'offer'; offer: VideoOffer; untilMs: number };
const cacheSize = 20_000;

/** An offer that expires sooner than this is not given. */
const leastLifeMs = 5_000;

export function createVideoOffers(deps: VideoOffersDeps): VideoOffers {
  const { videos, vault, uploadUrl, clock, logger, cacheMs = 30_000 } = deps;
  const known = new Map<string, Known>();

  const remember = (sessionId: string, value: Known): void => {
    if (known.size >= cacheSize) known.clear();
    known.set(sessionId, value);
  };

  const openOffer = ({ session_id, offer }: OfferRow): VideoOffer | undefined => {
    if (offer === null || offer.expires_at_ms - clock.now() < leastLifeMs) return undefined;
    const { ordinal, video_id, token_ciphertext, expires_at_ms: expires_at } = offer;
    const token = vault.open(token_ciphertext, tokenContext(session_id, ordinal));
    return { ordinal, video_id, expires_at, token, upload_url: uploadUrl };
  };

  const read = async (sessionId: string): Promise<VideoOffer | undefined> => {
    const row = await videos.offer(sessionId);
    if (row === undefined) return undefined;
    if (!row.records) remember(sessionId, { kind: 'recordsNothing' });
    const offer = openOffer(row);
    if (offer) remember(sessionId, { kind: 'offer', offer, untilMs: clock.monotonicMs() + cacheMs });
    return offer;
  };

  const find = async (sessionId: string, ordinal: number): Promise<VideoOffer | undefined> => {
    const memory = known.get(sessionId);
    if (memory?.kind === 'recordsNothing') return undefined;
    if (memory && memory.untilMs > clock.monotonicMs() && memory.offer.ordinal >= ordinal) return memory.offer;
    known.delete(sessionId);
    const offer = await read(sessionId);
    if (offer !== undefined && offer.ordinal < ordinal) await videos.want(sessionId, offer.ordinal + 1);
    return offer;
  };

  return {
    of: (sessionId, ordinal = 1) =>
      find(sessionId, ordinal).catch((error: unknown) => {
        logger.warn({ session_id: sessionId, error }, 'could not read the video offer of a session');
        return undefined;
      }),
  };
}
