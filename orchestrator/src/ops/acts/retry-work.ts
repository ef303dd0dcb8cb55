import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { plainText, uuid } from '@greenroom/shared/protocol/common.ts';
import { retryableWork } from '@greenroom/shared/protocol/operators.ts';
import { z } from 'zod';
import type { OperatorStore } from '../../database/operator-store.ts';
import { gone } from '../reading/documents.ts';
import { type Act, alreadySo, nobody } from './act.ts';

/**
 * Two acts. One makes outstanding work due at once; an evaluation that was given up gets all its attempts again. The other
 * sends a webhook again.
 */
export interface RetryWorkDeps {
  store: Pick<OperatorStore, 'session' | 'retryWork' | 'delivery' | 'replayDelivery'>;
}

interface Work {
  kind: (typeof retryableWork)[number];
  id: string;
}

const work = z.strictObject({
  kind: z.enum(retryableWork),
  id: plainText(300).min(1),
});
const nothing = z.strictObject({});
const params = z.object({ id: uuid });

export const retryWork = ({ store }: RetryWorkDeps): Act<object, Work> => ({
  ...{ method: 'POST', path: '/retries', role: 'operator', params: z.object({}), body: work },
  plan: async (_params, { kind, id }) => {
    if (kind === 'result' && (!uuid.safeParse(id).success || (await store.session(id)) === null)) throw gone('session');
    const effect =
      kind === 'result'
        ? 'The evaluation runs again with all its attempts. It is paid for again, and its result must be reviewed again.'
        : `The ${kind.replaceAll('_', ' ')} is tried at once.`;
    return { effect: [effect], affected: nobody, undo: null };
  },
  run: async (_params, { kind, id }, by) => {
    const result = await store.retryWork(kind, id, by);
    if (result.kind === 'already') throw alreadySo('The evaluation is already running.');
    if (result.kind === 'withdrawn')
      throw new AppError('conflict', { detail: 'The candidate withdrew consent: nothing may be evaluated.' });
    if (result.kind === 'nothing')
      throw new AppError('not_found', {
        detail: 'The session has no evaluation: its interview has not ended, or never began.',
      });
    if (result.kind === 'not_found')
      throw new AppError('not_found', {
        detail: 'There is no such outstanding work. It may have been done in the meantime.',
      });
  },
});

const erased = (): AppError =>
  new AppError('conflict', {
    detail: "This delivery can't be sent again: its payload was deleted when the candidate was erased.",
  });

export const replayDelivery = ({ store }: RetryWorkDeps): Act<{ id: string }, object> => ({
  ...{ method: 'POST', path: '/deliveries/:id/replay', role: 'operator', params, body: nothing },
  plan: async ({ id }) => {
    const delivery = await store.delivery(id);
    if (delivery === null) throw gone('delivery');
    if (delivery.erased === true) throw erased();
    return {
      effect: [
        `The ${String(delivery.type)} message is sent again under the same id; its receiver may drop it as a repetition.`,
      ],
      ...{ affected: nobody, undo: null },
    };
  },
  run: async ({ id }, _body, by) => {
    const result = await store.replayDelivery(id, by);
    if (result.kind === 'not_found') throw gone('delivery');
    if (result.kind === 'erased') throw erased();
    if (result.kind === 'already') throw alreadySo('It is already waiting to be sent.');
  },
});
