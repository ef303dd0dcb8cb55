import { uuid } from '@greenroom/shared/protocol/common.ts';
import { endingOf, type SessionReason, sessionReasons } from '@greenroom/shared/session/reasons.ts';
import { z } from 'zod';
import type { OperatorStore } from '../../database/operator-store.ts';
import type { MachinesOfEnd } from '../../fleet/stop-machines.ts';
import { gone } from '../reading/documents.ts';
import { type Act, alreadySo, type Plan, whenAndWho } from './act.ts';

/** Ends a session as `operator_stopped`. Its worker says goodbye and stores the last entries; then its machine is destroyed. */
export interface EndSessionDeps {
  store: Pick<OperatorStore, 'session' | 'endSession'>;
  stopMachines: (machines: MachinesOfEnd, evidence: string) => void;
  onChange: (sessionId: string) => void;
}

const params = z.object({ id: uuid });

const words = (reason: unknown): string =>
  typeof reason === 'string' && reason in sessionReasons ? sessionReasons[reason as SessionReason].text : '';

export const endedAlready = (end: { at?: string | null | undefined; reason?: unknown }): Error =>
  alreadySo(`Already ended${whenAndWho(end)}. ${words(end.reason)}`.trim());

/** Tells the operator whether a candidate is in the room and notices that the session ends. */
export const effectOnCandidate = (presence: string): string =>
  presence === 'present'
    ? 'The candidate is in the room and is told that the interview has ended.'
    : 'No candidate is in the room.';

export const endSession = ({ store, stopMachines, onChange }: EndSessionDeps): Act<{ id: string }, object> => ({
  ...{ method: 'POST', path: '/sessions/:id/end', role: 'operator', params, body: z.strictObject({}) },
  plan: async ({ id }): Promise<Plan> => {
    const session = await store.session(id);
    if (session === null) throw gone('session');
    if (session.completed_at !== null || session.end_requested_at !== null)
      throw endedAlready({ at: session.completed_at ?? String(session.end_requested_at), reason: session.reason });
    const machines = session.machines.filter(({ state }) => state !== 'destroyed').length;
    return {
      effect: [
        `The session of ${session.tenant} ends as cancelled, operator_stopped. It is ${String(session.status).replaceAll('_', ' ')} now.`,
        effectOnCandidate(session.presence),
      ],
      affected: { sessions: 1, candidates_live: session.presence === 'present' ? 1 : 0, machines },
      undo: null,
    };
  },
  run: async ({ id }, _body, by) => {
    const result = await store.endSession(id, endingOf('operator_stopped'), by);
    if (result.kind === 'not_found') throw gone('session');
    if (result.kind === 'already') throw endedAlready(result);
    stopMachines(result.machines, `${by.actor} ended the session: ${by.why}`);
    onChange(id);
  },
});
