import { describe, expect, test } from 'vitest';
import { type Conclusion, createConclusion } from './conclusion.ts';

describe('the conclusion', () => {
  test('the first conclusion wins, and is reported once', () => {
    const decided: Conclusion[] = [];
    const box = createConclusion((conclusion) => decided.push(conclusion));
    expect(box.decide({ kind: 'ended', outcome: 'completed', reason: 'ended_by_candidate' })).toBe(true);
    expect(box.decide({ kind: 'ended', outcome: 'completed', reason: 'max_duration' })).toBe(false);
    expect(decided).toMatchObject([{ reason: 'ended_by_candidate' }]);
  });

  test('being fenced is recorded even after an ending was decided', () => {
    const box = createConclusion(() => {});
    box.decide({ kind: 'handed_over' });
    expect(box.fenced).toBe(false);
    box.decide({ kind: 'fenced' });
    expect([box.fenced, box.value?.kind]).toEqual([true, 'handed_over']);
  });
});
