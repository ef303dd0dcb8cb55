import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { timestamp } from '@greenroom/shared/protocol/common.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { z } from 'zod';
import type { OperatorStore } from '../../database/operator-store.ts';
import { isRegion, regions } from '../../regions/regions.ts';
import { type Act, alreadySo, nobody, type Plan, whenAndWho } from './act.ts';

/** Drains a region, or opens it again. Interviews in a drained region go on; no new machine is created there. */
export interface SetRegionDeps {
  store: Pick<OperatorStore, 'regions' | 'drainRegion' | 'openRegion'>;
  clock: Pick<Clock, 'now'>;
  /** Reads the drained regions again in this process. The other orchestrators do so within seconds. */
  refresh: () => Promise<void>;
}

interface Body {
  state: 'open' | 'drained';
  until?: string | undefined;
}

const params = z.object({ code: z.string().refine(isRegion) });
const body = z.strictObject({ state: z.enum(['open', 'drained']), until: timestamp.optional() });

export function setRegion({ store, clock, refresh }: SetRegionDeps): Act<{ code: string }, Body> {
  const check = ({ state, until }: Body): void => {
    const wrong =
      until !== undefined && state === 'open'
        ? 'may be given only with the state drained'
        : until !== undefined && Date.parse(until) <= clock.now()
          ? 'must be in the future'
          : undefined;
    if (wrong !== undefined) throw new AppError('validation_failed', { fields: [{ field: 'until', message: wrong }] });
  };

  return {
    ...{ method: 'PUT', path: '/regions/:code', role: 'operator', params, body },
    plan: async ({ code }, wanted): Promise<Plan> => {
      check(wanted);
      const all = await store.regions();
      const here = all.find(({ region }) => region === code);
      const drained = all.filter(({ drain }) => drain !== null).map(({ region }) => region);
      if (wanted.state === 'open') {
        if (!drained.includes(code)) throw alreadySo(`${code} is already open.`);
        return {
          effect: [`New machines are created in ${code} again.`],
          affected: nobody,
          undo: `Drain ${code} again.`,
        };
      }
      const prepared = (here?.standby ?? 0) + (here?.hot ?? 0);
      const left = regions.length - new Set([...drained, code]).size;
      return {
        effect: [
          `No new machine is created in ${code}${wanted.until === undefined ? '' : ` until ${wanted.until}`}. ${left} regions are left.`,
          `${here?.sessions ?? 0} interviews there go on.`,
          `${prepared} prepared machines there are not used until it is open again.`,
          `A tenant that may only use ${code} cannot start interviews.`,
        ],
        affected: { ...nobody, machines: prepared },
        undo: `Open ${code}.`,
      };
    },
    run: async ({ code }, { state, until }, by) => {
      const result = state === 'open' ? await store.openRegion(code, by) : await store.drainRegion(code, until, by);
      if (result.kind === 'already')
        throw alreadySo(
          state === 'open'
            ? `${code} is already open.`
            : `${code} is already drained${whenAndWho(result as { at?: string; by?: string })}.`,
        );
      await refresh();
    },
  };
}
