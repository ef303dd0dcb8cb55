import type { Intent } from '../database/rows.ts';

/** Executes an intent, whichever it is: a machine to be created, or a standby machine to be started. */
export interface Launcher {
  execute(intent: Intent): void;
}

export interface LauncherParts {
  create: Launcher;
  start: Launcher;
}

/** The parts may themselves need the launcher, for what comes next: they are asked for when they are needed. */
export const createLauncher = (parts: () => LauncherParts): Launcher => ({
  execute: (intent) => parts()[intent.action].execute(intent),
});
