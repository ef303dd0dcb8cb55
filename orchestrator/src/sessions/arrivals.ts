import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { PoolStore } from '../database/pool-store.ts';
import type { Intent } from '../database/rows.ts';
import type { RegionHealth } from '../regions/health.ts';
import { placeSession } from '../regions/placement.ts';

/**
 * Starts the machine of a session with placement `on_join` when its candidate arrives. The edge region of the candidate's request
 * decides the region. The first request is the exchange of the invitation, so that the machine boots while the page asks for the
 * microphone; the second is the socket.
 *
 * - Repeated arrivals, also at different orchestrators, start one machine.
 * - A failure is only logged: the candidate's next request tries again.
 */
export interface Arrivals {
  /** Does nothing for a session that does not wait for its candidate. Never throws. */
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
    // Without an edge region, the platform's request is better than our default.
    const known = place.reason === 'default' ? null : place.regions;
    const result = await pool.beginOnJoin(sessionId, known, place.reason);
    logger.info({ session_id: sessionId, kind: result.kind, region: edgeRegion }, 'candidate arrived');
    if (result.kind !== 'launched') return;
    execute(result.intent);
    onChange(sessionId);
  };
  return {
    arrive: (sessionId, edgeRegion) =>
      begin(sessionId, edgeRegion).catch((error: unknown) => {
        logger.warn(
          { session_id: sessionId, error },
          'could not record the arrival of a candidate; the next request tries again',
        );
      }),
  };
}
