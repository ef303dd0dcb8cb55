import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { PoolStore } from '../database/pool-store.ts';
import type { Intent } from '../database/rows.ts';
import type { RegionHealth } from '../regions/health.ts';
import { placeSession } from '../regions/placement.ts';

/**
 * The candidate of a session with placement `on_join` is there: the edge region of this very request says where, and the
 * machine is asked for near it. It comes first with the exchange of its invitation, so that the machine boots while the
 * page asks for the microphone, and then with its socket.
 *
 * A1  Coming twice, or through two orchestrators, begins it once.
 * A2  Failing is logged and nothing else: whoever waits for the session comes again.
 */
export interface Arrivals {
  /** Does nothing for a session that does not wait for its candidate. Never throws (A2). */
  arrive(sessionId: string, edgeRegion: string | undefined): Promise<void>;
}

export interface ArrivalsDeps {
  pool: Pick<PoolStore, 'beginOnJoin'>;
  health: RegionHealth;
  defaultRegion: string;
  execute: (intent: Intent) => void;
  logger: Logger;
  onChange: (sessionId: string) => void;
}

export function createArrivals(deps: ArrivalsDeps): Arrivals {
  const { pool, health, defaultRegion, execute, logger, onChange } = deps;
  const begin = async (sessionId: string, edgeRegion: string | undefined): Promise<void> => {
    const place = placeSession({ wish: { kind: 'none', edgeRegion }, defaultRegion, allowed: null, health });
    // Without an edge region, what the platform wished for is better than our default.
    const known = place.reason === 'default' ? null : place.regions;
    const result = await pool.beginOnJoin(sessionId, known, place.reason); // A1
    logger.info({ session_id: sessionId, kind: result.kind, region: edgeRegion }, 'candidate arrived');
    if (result.kind !== 'launched') return;
    execute(result.intent);
    onChange(sessionId);
  };
  return {
    arrive: (sessionId, edgeRegion) =>
      begin(sessionId, edgeRegion).catch((error: unknown) => {
        logger.warn({ session_id: sessionId, error }, 'an arrival could not be recorded'); // A2
      }),
  };
}
