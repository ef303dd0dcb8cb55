import type { WorkerPhases } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * When the steps of the session's first call took place. Operators see from them where a slow interview lost its time.
 *
 * - Of each step only the first time counts.
 * - Steps travel with heartbeats and with the final report, as ages. A step is repeated until it was stored.
 */
export type Step = Exclude<keyof WorkerPhases, 'edge_wait'>;

export interface Phases {
  note(step: Step): void;
  /** How long the edge held the socket that is arriving. */
  edgeWaited(waitMs: number): void;
  /** Sends something that may carry the steps that are not stored yet. */
  carry<A extends { kind: string }>(send: (news: { phases?: WorkerPhases }) => Promise<A>): Promise<A>;
}

export function createPhases(clock: Pick<Clock, 'monotonicMs'>): Phases {
  const atMs = new Map<Step, number>();
  const stored = new Set<string>();
  let edgeWaitMs: number | undefined;

  const unstored = (): WorkerPhases => {
    const nowMs = clock.monotonicMs();
    const ages = [...atMs].map(([step, ms]): [string, number] => [step, Math.max(0, Math.round(nowMs - ms))]);
    const all = [...ages, ...(edgeWaitMs === undefined ? [] : [['edge_wait', edgeWaitMs] as [string, number]])];
    return Object.fromEntries(all.filter(([step]) => !stored.has(step)));
  };

  return {
    note: (step) => {
      if (!atMs.has(step)) atMs.set(step, clock.monotonicMs());
    },
    edgeWaited: (waitMs) => {
      edgeWaitMs ??= waitMs;
    },
    carry: async (send) => {
      const phases = unstored();
      const steps = Object.keys(phases);
      const answer = await send(steps.length === 0 ? {} : { phases });
      if (answer.kind === 'ok') for (const step of steps) stored.add(step);
      return answer;
    },
  };
}
