import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';

/**
 * Notices that this process was asleep: its host was frozen, its VM suspended, or it was starved for long.
 *
 * W1  A worker that wakes up does not know whether its session is still its own: another machine may serve it by now. Before
 *     anybody speaks for it again, it asks. What it means to say meanwhile waits, and is dropped when it is fenced.
 * W2  The watch is its own first timer: it is due before all that fell due in the sleep, so it sees the sleep first.
 * W3  If nobody answers, it goes on: a live interview does not fall silent because the control plane is away.
 */
export interface SleepWatch {
  start(): void;
  /** Says it now, or once it is known that we may (W1). True unless it is known at once that it could not be said. */
  say<T>(what: T, how: (what: T) => boolean): boolean;
  stop(): void;
}

export interface SleepWatchDeps {
  clock: Clock;
  /** Asks whether the session is ours; resolves when that is known, or cannot be. */
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
    // A suspended VM may stop its monotonic clock, hence both.
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
