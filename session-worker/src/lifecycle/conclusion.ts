import type { Ending } from '@greenroom/shared/session/reasons.ts';

/**
 * How this worker's part ends, decided once.
 *
 * E1  The first conclusion wins; later ones change nothing.
 * E2  Being fenced is not a conclusion among others: it may come after one, and from then on nothing is written, reported
 *     or hung up, for the session belongs to another machine.
 */
export type Conclusion = ({ kind: 'ended' } & Ending) | { kind: 'handed_over' } | { kind: 'fenced' };

export interface ConclusionBox {
  readonly value: Conclusion | undefined;
  readonly fenced: boolean;
  /** False when it had been decided before (E1). */
  decide(conclusion: Conclusion): boolean;
}

export function createConclusion(onDecided: (conclusion: Conclusion) => void): ConclusionBox {
  let value: Conclusion | undefined;
  let fenced = false;
  return {
    get value() {
      return value;
    },
    get fenced() {
      return fenced;
    },
    decide: (conclusion) => {
      if (conclusion.kind === 'fenced') fenced = true;
      if (value) return false;
      value = conclusion;
      onDecided(conclusion);
      return true;
    },
  };
}
