import type { Intent } from '../database/rows.ts';

/** Executes an intent of either kind: creates a machine or starts a standby machine. */
export interface Launcher {
  execute(intent: Intent): void;
}

export interface LauncherParts {
  create: Launcher;
  start: Launcher;
}

/** @param parts a function, because the parts themselves need the launcher */
export const createLauncher = (parts: () => LauncherParts): Launcher => ({
  execute: (intent) => parts()[intent.action].execute(intent),
});
