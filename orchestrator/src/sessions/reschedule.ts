import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { SchedulePlan } from '@greenroom/shared/protocol/platform-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { SessionRow } from '../database/rows.ts';
import type { SessionStore } from '../database/session-store.ts';
import { planOf, scheduleProblem } from './schedule.ts';

export interface RescheduleDeps {
  sessions: Pick<SessionStore, 'reschedule'>;
  clock: Pick<Clock, 'now'>;
  deadlines: Pick<Deadlines, 'sessionExpiresMs' | 'standbyBuildMs'>;
}

/** @returns a function that moves a start time. Throws AppError: validation_failed, not_found, session_ended, conflict, precondition_failed. */
export const createRescheduler =
  ({ sessions, clock, deadlines }: RescheduleDeps) =>
  async (
    sessionId: string,
    tenantId: string,
    at: string,
    ifUpdatedAt?: string,
  ): Promise<{ session: SessionRow; plan: SchedulePlan }> => {
    const message = scheduleProblem(at, clock.now());
    if (message !== undefined)
      throw new AppError('validation_failed', { fields: [{ field: 'scheduled_at', message }] });
    const result = await sessions.reschedule(sessionId, tenantId, at, deadlines.sessionExpiresMs, ifUpdatedAt);
    switch (result.kind) {
      case 'rescheduled':
        return { session: result.session, plan: planOf(Date.parse(at), result.ahead, deadlines.standbyBuildMs) };
      case 'begun':
        throw new AppError('conflict', { detail: 'The session has already begun, or was never scheduled.' });
      case 'ended':
        throw new AppError('session_ended');
      case 'changed_meanwhile':
        throw new AppError('precondition_failed');
      case 'not_found':
        throw new AppError('not_found', { detail: 'No such session.' });
    }
  };
