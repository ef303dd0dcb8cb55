import * as z from 'zod';

/**
 * A call of a test session: what the simulated candidate (orchestrator) and the scripted voice (worker) agree on. The
 * offer and the answer of such a call are JSON instead of SDP.
 */

/** Messages that a simulated candidate sends in the call although a real browser would not, as a manipulated one could. */
export const tamperings = ['foreign_item', 'foreign_session_update'] as const;

export const scriptedOffer = z.strictObject({
  scripted: z.literal(1),
  tampers: z.array(z.enum(tamperings)).max(tamperings.length).default([]),
});
export type ScriptedOffer = z.output<typeof scriptedOffer>;

/** The session of a scripted call, in place of a provider's session configuration. */
export const scriptedSession = z.object({
  type: z.literal('scripted'),
  /** What the interviewer asks, in this order. */
  questions: z.array(z.string().min(1)).min(1),
});
export type ScriptedSession = z.output<typeof scriptedSession>;
