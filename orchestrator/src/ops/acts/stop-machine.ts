import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { endingOf } from '@greenroom/shared/session/reasons.ts';
import { z } from 'zod';
import type { RecordAudit } from '../../database/audit-store.ts';
import type { ActWhy, OperatorStore, OpsMachineRow } from '../../database/operator-store.ts';
import type { Endings } from '../../fleet/ending.ts';
import type { MachinesOfEnd } from '../../fleet/stop-machines.ts';
import type { FlyClient } from '../../fly/client.ts';
import { gone } from '../reading/documents.ts';
import { type Act, alreadySo, type Plan, whenAndWho } from './act.ts';
import { effectOnCandidate } from './end-session.ts';

/**
 * Stops a machine. If the machine serves a session, the session ends. With `replace` the worker hands the session over to
 * another machine instead, as it does at a deploy.
 */
export interface StopMachineDeps {
  store: Pick<OperatorStore, 'machine' | 'stopMachine'>;
  endings: Pick<Endings, 'destroy'>;
  fly: Pick<FlyClient, 'stop'>;
  audit: RecordAudit;
  stopMachines: (machines: MachinesOfEnd, evidence: string) => void;
  stopTimeoutMs: number;
}

interface Body {
  replace: boolean;
}
type Stopped = Awaited<ReturnType<OperatorStore['stopMachine']>>;
type Replacing = Extract<Stopped, { app_name: string }>;

const params = z.object({ id: uuid });
const body = z.strictObject({ replace: z.boolean().default(false) });
const leaving = new Set(['destroying', 'destroyed']);

const stoppedAlready = (end: { at?: string | null | undefined; reason?: unknown }): Error =>
  alreadySo(`The machine is already destroyed or being destroyed${whenAndWho(end)}: ${String(end.reason ?? '')}.`);
const servesNothing = (): AppError =>
  new AppError('conflict', {
    detail: 'No worker serves an interview on this machine, so there is nothing to hand over. Stop it without replace.',
  });

const serves = ({ session, state }: OpsMachineRow): boolean => session?.served_by_this === true && state === 'claimed';

function planOf(machine: OpsMachineRow, { replace }: Body): Plan {
  const { session, region, kind } = machine;
  const present = session?.presence ?? 'absent';
  const affected = { sessions: session ? 1 : 0, candidates_live: present === 'present' ? 1 : 0, machines: 1 };
  const where = `${machine.fly_machine_id ?? 'not created yet'} in ${region}`;
  if (replace)
    return {
      effect: [
        `The interview moves to another machine; the candidate reconnects within seconds. Machine ${where} is then destroyed.`,
      ],
      ...{ affected, undo: null },
    };
  if (session && (serves(machine) || !session.served_by_this))
    return {
      effect: [`Its session ${session.session_id} ends as cancelled, operator_stopped.`, effectOnCandidate(present)],
      ...{ affected, undo: null },
    };
  const words = kind === 'session' ? 'a machine of an ended session' : `a ${kind} machine`;
  return {
    effect: [`Machine ${where} is destroyed. It is ${words}; no interview is affected.`],
    affected: { ...affected, sessions: 0, candidates_live: 0 },
    undo: kind === 'session' ? null : 'The pool creates another one by itself.',
  };
}

export function stopMachine(deps: StopMachineDeps): Act<{ id: string }, Body> {
  const { store, endings, fly, audit, stopMachines, stopTimeoutMs } = deps;

  /** Tells the worker to hand over. Nothing has changed if Fly refuses that, so the operator must know. */
  const replace = async (
    id: string,
    { app_name: app, fly_machine_id: flyId }: Replacing,
    by: ActWhy,
  ): Promise<void> => {
    if (flyId === null) return;
    const { kind } = await fly.stop(app, flyId, 'SIGTERM', `${Math.ceil(stopTimeoutMs / 1_000)}s`);
    if (kind === 'done') return;
    const { why, ...whoAndWhere } = by;
    await audit({
      ...{ ...whoAndWhere, action: 'machine.replace', target: id, outcome: 'refused' },
      details: { why, fly: kind },
    });
    if (kind === 'notFound')
      throw new AppError('conflict', {
        detail: 'Fly no longer has this machine. The reconciler replaces it by itself.',
      });
    throw new AppError('conflict', {
      detail:
        kind === 'ambiguous'
          ? 'Fly did not confirm that it stops the machine. Look whether the interview moves; if not, try again.'
          : `Fly refused to stop the machine (${kind}). The interview continues where it is. Try again later.`,
    });
  };

  const carryOut = async (id: string, result: Stopped, by: ActWhy): Promise<void> => {
    const evidence = `${by.actor}: ${by.why}`;
    switch (result.kind) {
      case 'not_found':
        throw gone('machine');
      case 'already':
        throw stoppedAlready(result);
      case 'serves_nothing':
        throw servesNothing();
      case 'session_ended':
        stopMachines(result.machines, evidence);
        break;
      case 'replacing':
        await replace(id, result, by);
        break;
      case 'stopped': {
        const { machine_id, app_name, fly_machine_id } = result;
        if (fly_machine_id !== null)
          endings.destroy({ machine_id, app_name, fly_machine_id }, 'operator_stopped', evidence);
      }
    }
  };

  return {
    ...{ method: 'POST', path: '/machines/:id/stop', role: 'operator', params, body },
    plan: async ({ id }, wanted) => {
      const machine = await store.machine(id);
      if (machine === null) throw gone('machine');
      if (leaving.has(machine.state))
        throw stoppedAlready({ at: String(machine.destroyed_at ?? machine.destroying_at), reason: machine.reason });
      if (wanted.replace && !serves(machine)) throw servesNothing();
      return planOf(machine, wanted);
    },
    run: async ({ id }, wanted, by) =>
      carryOut(id, await store.stopMachine(id, wanted.replace, endingOf('operator_stopped'), by), by),
  };
}
