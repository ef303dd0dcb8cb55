import type { Snapshot } from './types.ts';

/** Holds the public state of the interview and notifies listeners of changes. */
export interface SnapshotStore {
  readonly current: Snapshot;
  /** Replaces parts of the state. A part with an equal value stays the same object. Listeners are called on a change only. */
  update(change: Partial<Snapshot>): void;
  subscribe(listener: () => void): () => void;
}

export const initialSnapshot: Snapshot = Object.freeze<Snapshot>({
  status: Object.freeze({ name: 'idle' as const }),
  saving: Object.freeze({ state: 'saved' as const, savedUpTo: null, pending: 0 }),
  devices: Object.freeze({ microphone: null, speaker: null, all: Object.freeze([]), muted: false }),
  network: Object.freeze({ quality: 'unknown' as const, rttMs: null, lossPercent: null, relayed: null }),
  clock: Object.freeze({ startedAt: null, endsAt: null }),
  transcript: Object.freeze([]),
  problem: null,
  storage: 'memory',
  simulated: false,
  withdrawn: false,
});

export function createSnapshotStore(): SnapshotStore {
  let current = initialSnapshot;
  const listeners = new Set<() => void>();
  return {
    get current() {
      return current;
    },
    update: (change) => {
      const next: Record<string, unknown> = { ...current };
      let changed = false;
      for (const [part, value] of Object.entries(change)) {
        if (isEqual(value, next[part])) continue;
        next[part] = freeze(value);
        changed = true;
      }
      if (!changed) return;
      current = Object.freeze(next) as unknown as Snapshot;
      for (const listener of [...listeners]) listener();
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const freeze = <T>(value: T): T => (isObject(value) ? Object.freeze(value) : value);

/** Compares by identity or, because the parts are flat, field by field. Arrays are compared by identity only. */
function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!isObject(a) || !isObject(b) || Array.isArray(a)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.is(a[key], b[key]));
}
