import type { CrashLabel } from './crash-labels.ts';

/**
 * Labelled points in the code at which a test can crash the process.
 *
 * - A crash point does nothing unless its label is armed. Tests arm one label with CRASH_AT when the process starts. The process
 *   then kills itself at that point, like `kill -9`: nothing is flushed.
 * - The list of labels (crash-labels.ts) is generated from the calls of this function. The crash-point suite must say what is
 *   expected at each label, so a new one cannot be forgotten.
 */
let armed: string | undefined;

/** Arms one label. Called only by `main.ts`. */
export function armCrashPoint(label: string | null): void {
  armed = label ?? undefined;
}

export function crashPoint(label: CrashLabel): void {
  if (label === armed) process.kill(process.pid, 'SIGKILL');
}
