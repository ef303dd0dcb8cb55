import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, test } from 'vitest';
import { createOpening } from './opening.ts';

function setUp() {
  const clock = createFakeClock();
  const begun: number[] = [];
  const opening = createOpening({ clock, callConnectMs: 10_000, begin: (ordinal) => begun.push(ordinal) });
  return { clock, begun, opening };
}

describe('when the interviewer begins', () => {
  test('not before both sideband and browser are connected, in either order', () => {
    const first = setUp();
    first.opening.speakable(1);
    expect(first.begun).toEqual([]);
    first.opening.connected(1);
    expect(first.begun).toEqual([1]);

    const second = setUp();
    second.opening.connected(1);
    expect(second.begun).toEqual([]);
    second.opening.speakable(1);
    expect(second.begun).toEqual([1]);
  });

  test('once, after the limit, when the browser never reports that it is connected', async () => {
    const { clock, begun, opening } = setUp();
    opening.speakable(1);
    await clock.advance(9_999);
    expect(begun).toEqual([]);
    await clock.advance(1);
    opening.connected(1);
    expect(begun).toEqual([1]);
  });

  // Failure pinned: a browser refused to play audio, and the interviewer spoke without being heard.
  test('not while the browser may not play audio, and at once when it may', async () => {
    const first = setUp();
    first.opening.speakable(1);
    first.opening.blocked(1);
    await first.clock.advance(60_000);
    expect(first.begun).toEqual([]);
    first.opening.connected(1);
    expect(first.begun).toEqual([1]);

    const second = setUp();
    second.opening.blocked(1);
    second.opening.speakable(1);
    await second.clock.advance(60_000);
    expect(second.begun).toEqual([]);
    second.opening.speakable(2);
    await second.clock.advance(10_000);
    expect(second.begun).toEqual([2]);
  });

  test('not in a call that was replaced, nor after stop', async () => {
    const { clock, begun, opening } = setUp();
    opening.speakable(1);
    opening.speakable(2);
    opening.connected(1);
    expect(begun).toEqual([]);
    opening.stop();
    await clock.advance(60_000);
    expect(begun).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});
