import type { Intent } from '../database/rows.ts';
import type { Tracing } from '../tracing/tracing.ts';

/** Executes an intent of any kind: creates a machine, starts a standby machine, or wakes the worker of a hot machine. */
export interface Launcher {
  execute(intent: Intent): void;
}

export interface LauncherParts {
  create: Launcher;
  start: Launcher;
  wake: Launcher;
}

/** @param parts a function, because the parts themselves need the launcher */
export const createLauncher = (parts: () => LauncherParts, { begins }: Pick<Tracing, 'begins'>): Launcher => ({
  execute: (intent) => {
    begins(intent);
    parts()[intent.action].execute(intent);
  },
});
