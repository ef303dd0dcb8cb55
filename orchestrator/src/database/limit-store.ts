import { callFunction, type Database } from '@greenroom/shared/database/client.ts';
import { z } from 'zod';
import { createBatcher } from './batch.ts';

/** Fly's limits per app. All orchestrators draw from one row per app. Throws DatabaseError. */
export type LimitStore = ReturnType<typeof createLimitStore>;

interface ListDraw {
  app: string;
  urgent: boolean;
  maxWaitMs: number;
}

export function createLimitStore(database: Database) {
  const draw = async (draws: ListDraw[]): Promise<Array<number | undefined>> => {
    const first = draws[0] as ListDraw;
    const slots = await callFunction(
      database,
      'draw_list_slots',
      { p_apps: draws.map(({ app }) => app), p_urgent: first.urgent, p_max_wait_ms: first.maxWaitMs },
      z.record(z.string(), z.number()),
    );
    return draws.map(({ app }) => slots[app]);
  };
  // Look-ups are not batched: two draws for one app in a batch would get the same slot.
  const drawMany = createBatcher<ListDraw, number | undefined>({ run: draw, maxBatch: 500 });

  return {
    /** Wait before this app may be listed, ms. Undefined: longer than `maxWaitMs`. `urgent` may use the burst. */
    listSlot: (app: string, urgent: boolean, maxWaitMs: number): Promise<number | undefined> =>
      urgent ? draw([{ app, urgent, maxWaitMs }]).then(([waitMs]) => waitMs) : drawMany({ app, urgent, maxWaitMs }),
    /** Records that Fly answered 429, so that all orchestrators wait. Returns the caller's own wait, ms. */
    slowApp: (app: string, action: 'create' | 'list', retryMs: number): Promise<number> =>
      callFunction(database, 'slow_app', { p_app_name: app, p_action: action, p_retry_ms: retryMs }, z.number()),
  };
}
