import type { CrashLabel } from './crash-labels.ts';

/**
 * The instants at which a crash would be awkward, each with a label.
 *
 * X1  Nothing happens at a crash point unless its label was armed: by CRASH_AT, in tests, once, when the process starts.
 *     Then the process kills itself on the spot, as `kill -9` would, with nothing flushed and nobody told.
 * X2  The list of labels (crash-labels.ts) is generated from the calls of this function in the code, and the crash-point
 *     suite must say what is to happen at each: a new one cannot be forgotten.
 */
let armed: string | undefined;

/** Arms one label. Only the process's entry does this. */
export function armCrashPoint(label: string | null): void {
  armed = label ?? undefined;
}

export function crashPoint(label: CrashLabel): void {
  if (label === armed) process.kill(process.pid, 'SIGKILL');
}
