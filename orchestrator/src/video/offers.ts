import type { VideoOffer } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { OfferRow, VideoStore } from '../database/video-store.ts';
import type { Vault } from '../tokens/vault.ts';
import { tokenContext } from './steps.ts';

/**
 * What a heartbeat tells a worker of its session's recording.
 *
 * O1  A heartbeat never fails, and hardly waits, for the sake of a recording: reads travel together, what cannot change is
 *     remembered, and trouble means no offer this time.
 * O2  A token is opened for the worker of its own session alone, and never kept in the clear beyond `cacheMs`.
 */
export interface VideoOffers {
  /**
   * The newest open recording, if there is one. Never throws.
   * @param ordinal the recording the browser needs; a higher one than there is, is asked for.
   */
  of(sessionId: string, ordinal?: number): Promise<VideoOffer | undefined>;
}

export interface VideoOffersDeps {
  videos: Pick<VideoStore, 'offer' | 'want'>;
  vault: Vault;
  clock: Clock;
  logger: Logger;
  /** Default 30 s. */
  cacheMs?: number;
}

type Known = { kind: 'recordsNothing' } | { kind: 'offer'; offer: VideoOffer; untilMs: number };
const cacheSize = 20_000;

/** An offer that is about to expire is of no use. */
const leastLifeMs = 5_000;

export function createVideoOffers({ videos, vault, clock, logger, cacheMs = 30_000 }: VideoOffersDeps): VideoOffers {
  const known = new Map<string, Known>();

  const remember = (sessionId: string, value: Known): void => {
    if (known.size >= cacheSize) known.clear();
    known.set(sessionId, value);
  };

  const openOffer = ({ session_id, offer }: OfferRow): VideoOffer | undefined => {
    if (offer === null || offer.expires_at_ms - clock.now() < leastLifeMs) return undefined;
    const { ordinal, video_id, token_ciphertext, expires_at_ms: expires_at } = offer;
    return { ordinal, video_id, expires_at, token: vault.open(token_ciphertext, tokenContext(session_id, ordinal)) };
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
        logger.warn({ session_id: sessionId, error }, 'the offer of a recording could not be read'); // O1
        return undefined;
      }),
  };
}
