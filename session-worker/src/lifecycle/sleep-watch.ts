import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * Detects that this process did not run for a while: its host was frozen, its VM suspended, or it got no CPU
 * time.
 *
 * - After such a sleep another machine may serve the session, so the worker asks the orchestrator before it
 *   speaks again. Anything it wants to say waits for that answer, and is dropped if the answer is `fenced`.
 * - The watch runs on a short timer of its own, so that it fires before the timers that expired during the
 *   sleep.
 * - If the orchestrator cannot be reached, the worker continues: a live interview must not fall silent
 *   because the control plane is away.
 */
export interface SleepWatch {
  start(): void;
  /**
   * Calls `how(what)` now, or once the session is known to be ours. False only when it is already known to
   * have failed.
   */
  say<T>(what: T, how: (what: T) => boolean): boolean;
  stop(): void;
}

export interface SleepWatchDeps {
  clock: Clock;
  /** Asks whether the session is still ours. Resolves when that is known, or when it cannot be found out. */
  ask(sleptMs: number): Promise<void>;
}

const lookMs = 250;
const sleepMs = 2_000;

export function createSleepWatch({ clock, ask }: SleepWatchDeps): SleepWatch {
  let timer: Timer | undefined;
  let asking = false;
  let stopped = false;
  let waiting: Array<() => void> = [];

  const settle = () => {
    asking = false;
    const said = waiting;
    waiting = [];
    if (!stopped) for (const say of said) say();
  };
  const look = (dueMs: number, dueAt: number) => {
    if (stopped) return;
    // Both clocks: the monotonic clock may stop while a VM is suspended.
    const sleptMs = Math.max(clock.monotonicMs() - dueMs, clock.now() - dueAt);
    if (sleptMs > sleepMs && !asking) {
      asking = true;
      void ask(sleptMs).then(settle, settle);
    }
    next();
  };
  const next = () => {
    const [dueMs, dueAt] = [clock.monotonicMs() + lookMs, clock.now() + lookMs];
    timer = clock.setTimer(() => look(dueMs, dueAt), lookMs);
  };

  return {
    start: next,
    say: (what, how) => {
      if (stopped) return false;
      if (!asking) return how(what);
      waiting.push(() => void how(what));
      return true;
    },
    stop: () => {
      stopped = true;
      waiting = [];
      timer?.cancel();
    },
  };
}
