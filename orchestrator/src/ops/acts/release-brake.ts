import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { z } from 'zod';
import type { OperatorStore } from '../../database/operator-store.ts';
import { type Act, alreadySo, nobody, whenAndWho } from './act.ts';

/** Releases one hold of the brake: the next reconcile round ends the machines of its list, and no others. */
export interface ReleaseBrakeDeps {
  store: Pick<OperatorStore, 'brake' | 'releaseBrake'>;
}

const noHold = (): AppError =>
  new AppError('not_found', {
    detail: 'There is no hold with this id any more: the list of machines has changed. Look at the list again.',
  });

export const releaseBrake = ({ store }: ReleaseBrakeDeps): Act<object, { hold_id: string }> => ({
  ...{
    method: 'POST',
    path: '/brake/release',
    role: 'admin',
    params: z.object({}),
    body: z.strictObject({ hold_id: uuid }),
  },
  plan: async (_params, { hold_id }) => {
    const hold = (await store.brake()).find((one) => one.hold_id === hold_id);
    if (hold === undefined) throw noHold();
    const sessions = hold.ends.filter(({ session_id }) => session_id !== null).length;
    return {
      effect: [
        `The next round ends the ${hold.ends.length} machines of ${hold.app_name} that are listed, and no others.`,
        `${sessions} of them have a session, which loses its machine and gets another one.`,
      ],
      affected: { ...nobody, sessions, machines: hold.ends.length },
      undo: null,
    };
  },
  run: async (_params, { hold_id }, by) => {
    const result = await store.releaseBrake(hold_id, by);
    if (result.kind === 'not_found') throw noHold();
    if (result.kind === 'already')
      throw alreadySo(`Already released${whenAndWho(result as { at?: string; by?: string })}.`);
  },
});
