import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCursor, createInterviewScript, resumeAt } from './script.ts';

describe('an interview script', () => {
  it('has the requested number of turns, with different lines', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), (turns) => {
        const script = createInterviewScript(turns);
        const lines = script.turns.flatMap((turn) => [turn.interviewer, turn.candidate]);
        expect(new Set([...lines, script.goodbye]).size).toBe(turns * 2 + 1);
      }),
      { numRuns: 30 },
    );
  });

  it('of any length continues after the last answer in the context, however much of the history it contains', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 58 }), fc.integer({ min: 0, max: 59 }), (answered, forgotten) => {
        const script = createInterviewScript(60);
        const history = script.turns.slice(0, answered + 1).flatMap((turn) => [turn.interviewer, turn.candidate]);
        const kept = history.slice(Math.min(forgotten, history.length - 1));
        expect(resumeAt(script, [`Recap:\n${kept.join('\n').toUpperCase()}`])).toBe(answered + 1);
      }),
    );
  });

  it('asks an unanswered question again, also when other sentences came before it', () => {
    const script = createInterviewScript(3);
    const cursor = createCursor(script);
    cursor.moveTo(1);
    expect(resumeAt(script, [cursor.question(true)])).toBe(1);
    expect(resumeAt(script, ['nothing of us'])).toBe(0);
  });
});
