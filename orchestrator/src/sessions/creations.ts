import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * Lets requests that create sessions come before what follows from new sessions: the claims of hot workers, and the sockets of
 * candidates who connect at once. When a hundred sessions are created at the same time, the first ones would otherwise take
 * processor time and database connections from the requests that still wait for their answer.
 *
 * What follows waits for `longestMs` at most, so that a tenant that creates sessions without a pause holds nobody up.
 */
export interface Creations {
  /** A request creates a session. Call the returned function when it has been answered; further calls do nothing. */
  begin(): () => void;
  /** Resolves when no request creates a session, and after `longestMs` at the latest. */
  over(): Promise<void>;
}

/** So short that a worker or a candidate who waits does not notice it. */
export const longestMs = 250;

export function createCreations(clock: Pick<Clock, 'setTimer'>): Creations {
  let underWay = 0;
  const waiting = new Set<() => void>();
  const end = (): void => {
    underWay -= 1;
    if (underWay === 0) for (const resume of [...waiting]) resume();
  };
  return {
    begin: () => {
      underWay += 1;
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        end();
      };
    },
    over: () =>
      new Promise((resolve) => {
        if (underWay === 0) return resolve();
        const timer = clock.setTimer(resume, longestMs);
        waiting.add(resume);
        function resume(): void {
          timer.cancel();
          waiting.delete(resume);
          resolve();
        }
      }),
  };
}
