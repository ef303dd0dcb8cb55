/**
 * The closed list of what can go wrong for a candidate, the most important first: one problem is shown at a time.
 * A problem has a beginning and an end, so that no message stays on the screen after its cause is gone.
 */
export const problemCodes = [
  'unsupported',
  'microphone_denied',
  'microphone_missing',
  'microphone_busy',
  'audio_blocked',
  'call_blocked',
  'call_failed',
  'microphone_lost',
  'microphone_muted',
  'service_unavailable',
  'storage_blocked',
] as const;
export type ProblemCode = (typeof problemCodes)[number];

export interface Problems {
  raise(code: ProblemCode): void;
  /** These are over. One that was never raised is ignored. */
  settle(...codes: ProblemCode[]): void;
  has(code: ProblemCode): boolean;
  /** The one that matters now. */
  readonly current: ProblemCode | null;
}

/** @param onChange called with the problem that matters now, only when it changed */
export function createProblems(onChange: (current: ProblemCode | null) => void): Problems {
  const open = new Set<ProblemCode>();
  let current: ProblemCode | null = null;
  const update = () => {
    const next = problemCodes.find((code) => open.has(code)) ?? null;
    if (next === current) return;
    current = next;
    onChange(next);
  };
  return {
    raise: (code) => {
      open.add(code);
      update();
    },
    settle: (...codes) => {
      for (const code of codes) open.delete(code);
      update();
    },
    has: (code) => open.has(code),
    get current() {
      return current;
    },
  };
}
