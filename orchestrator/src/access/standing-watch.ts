import type { Clock } from '@greenroom/shared/runtime/clock.ts';

/**
 * Whether those who were admitted to an answer that goes on (a stream of events) still are.
 *
 * Q1  Each credential is looked up again every `everyMs`, however many answers it holds: what is revoked, expires or loses
 *     its scope ends its answers within a second, whichever orchestrator it was revoked at.
 * Q2  A look-up that fails says nothing: the answer goes on. Whoever cannot be looked up cannot be told anything new either.
 */
export interface StandingWatch {
  /**
   * @param credential the same for all answers of one holder
   * @param stands asked again and again; throws when it cannot be known
   * @returns a function that ends the watch
   */
  watch(credential: string, stands: () => Promise<boolean>, onLost: () => void): () => void;
}

interface Held {
  stands: () => Promise<boolean>;
  losers: Set<() => void>;
}

export function createStandingWatch(clock: Clock, everyMs: number): StandingWatch {
  const held = new Map<string, Held>();
  let ticking = false;

  const judge = async (credential: string, { stands, losers }: Held): Promise<void> => {
    if (await stands().catch(() => true)) return; // Q2
    held.delete(credential);
    for (const lose of [...losers]) lose();
  };
  const round = async (): Promise<void> => {
    await Promise.all([...held].map(([credential, one]) => judge(credential, one)));
    ticking = false;
    tick();
  };
  const tick = (): void => {
    if (ticking || held.size === 0) return;
    ticking = true;
    clock.setTimer(() => void round(), everyMs);
  };

  return {
    watch: (credential, stands, onLost) => {
      const known = held.get(credential) ?? { stands, losers: new Set() };
      known.losers.add(onLost);
      held.set(credential, known);
      tick();
      return () => {
        known.losers.delete(onLost);
        if (known.losers.size === 0 && held.get(credential) === known) held.delete(credential);
      };
    },
  };
}
