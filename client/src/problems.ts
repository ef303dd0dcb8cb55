/**
 * The closed list of a candidate's problems, the most important first. Only the most important one is shown.
 * A problem is raised and later settled, so that its message disappears with its cause. The worker counts them by the
 * same list (shared/src/protocol/socket-values.ts), which the types of this package must not name.
 */
export const problemCodes = [
  'unsupported',
  'link_incomplete',
  'link_dead',
  'used_elsewhere',
  'session_over',
  'consent_required',
  'too_early',
  'microphone_denied',
  'microphone_missing',
  'microphone_busy',
  'audio_blocked',
  'call_blocked',
  'voice_missing',
  'not_heard',
  'call_failed',
  'microphone_lost',
  'microphone_muted',
  'service_unavailable',
  'socket_lost',
  'network_weak',
  'storage_blocked',
] as const;
export type ProblemCode = (typeof problemCodes)[number];

/** What the candidate can do about a problem. `wait`: nothing; the SDK continues by itself. */
export type Act =
  | 'change_browser'
  | 'open_whole_link'
  | 'contact_organiser'
  | 'continue_here'
  | 'consent'
  | 'allow_microphone'
  | 'choose_microphone'
  | 'turn_on_sound'
  | 'change_network'
  | 'retry'
  | 'wait'
  | 'none';

export const actOf: Readonly<Record<ProblemCode, Act>> = {
  unsupported: 'change_browser',
  link_incomplete: 'open_whole_link',
  link_dead: 'contact_organiser',
  used_elsewhere: 'continue_here',
  session_over: 'none',
  consent_required: 'consent',
  too_early: 'wait',
  microphone_denied: 'allow_microphone',
  microphone_missing: 'choose_microphone',
  microphone_busy: 'retry',
  audio_blocked: 'turn_on_sound',
  call_blocked: 'change_network',
  voice_missing: 'wait',
  not_heard: 'wait',
  call_failed: 'wait',
  microphone_lost: 'choose_microphone',
  microphone_muted: 'retry',
  service_unavailable: 'retry',
  socket_lost: 'wait',
  network_weak: 'change_network',
  storage_blocked: 'none',
};

/** Why `join()` failed. It can be called again. */
export class InterviewError extends Error {
  readonly code: ProblemCode;
  /** Id of the request in the service's log, for support. */
  readonly requestId: string | undefined;
  constructor(code: ProblemCode, options: { cause?: unknown; requestId?: string | undefined } = {}) {
    super(code, { cause: options.cause });
    this.name = 'InterviewError';
    this.code = code;
    this.requestId = options.requestId;
  }
  get act(): Act {
    return actOf[this.code];
  }
}

export interface Problems {
  raise(code: ProblemCode): void;
  /** Ends problems. A problem that was not raised is ignored. */
  settle(...codes: ProblemCode[]): void;
  has(code: ProblemCode): boolean;
  /** The most important open problem. */
  readonly current: ProblemCode | null;
}

export interface ProblemListeners {
  /** Called when the most important open problem changes. */
  onChange(current: ProblemCode | null): void;
  onRaised?(code: ProblemCode): void;
  onSettled?(code: ProblemCode): void;
}

export function createProblems({ onChange, onRaised, onSettled }: ProblemListeners): Problems {
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
      if (open.has(code)) return;
      open.add(code);
      update();
      onRaised?.(code);
    },
    settle: (...codes) => {
      const over = codes.filter((code) => open.delete(code));
      update();
      for (const code of over) onSettled?.(code);
    },
    has: (code) => open.has(code),
    get current() {
      return current;
    },
  };
}
