import type { Ending } from '@greenroom/shared/session/reasons.ts';

/**
 * How this worker's part in the session ends, decided once.
 *
 * - The first conclusion wins; later ones change nothing.
 * - `fenced` is recorded even after another conclusion. From then on this worker writes, reports and hangs up
 *   nothing: the session belongs to another machine.
 */
export type Conclusion = ({ kind: 'ended' } & Ending) | { kind: 'handed_over' } | { kind: 'fenced' };

export interface ConclusionBox {
  readonly value: Conclusion | undefined;
  readonly fenced: boolean;
  /** False when a conclusion had been decided before. */
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
