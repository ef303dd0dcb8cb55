import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, test } from 'vitest';
import { createMedia, type Media } from './media.ts';

function setUp(resumed = false) {
  const clock = createFakeClock();
  const heard: number[] = [];
  let ended = 0;
  const media = createMedia({
    ...{ clock, resumed, noMediaMs: 100_000 },
    onHeard: (ordinal) => heard.push(ordinal),
    onNone: () => {
      ended += 1;
    },
  });
  return { clock, media, heard, ended: () => ended };
}

describe('whether media flows', () => {
  // Failure pinned: with UDP blocked, six openings were stored as said and the session was completed after 50 paid minutes.
  test('no evidence after the first offer: the session ends in time, however many offers follow', async () => {
    const { clock, media, heard, ended } = setUp();
    media.offered();
    await clock.advance(60_000);
    media.offered();
    await clock.advance(40_000);
    expect([ended(), heard, media.flowed, media.isHeard(1)]).toEqual([1, [], false, false]);
  });

  test.each<[string, (media: Media) => void]>([
    ['the browser says that the call is connected', (media) => media.connected(1)],
    ['the candidate is heard', (media) => media.answered(1)],
  ])('%s: the session goes on, and the call counts as heard once', async (_what, evidence) => {
    const { clock, media, heard, ended } = setUp();
    media.offered();
    evidence(media);
    evidence(media);
    await clock.advance(600_000);
    expect([ended(), heard, media.isHeard(1), media.isHeard(2)]).toEqual([0, [1], true, false]);
  });

  test('evidence in one call says nothing of another, and the session has had media for good', async () => {
    const { clock, media, ended } = setUp();
    media.offered();
    media.connected(1);
    media.offered();
    await clock.advance(600_000);
    expect([ended(), media.isHeard(2), media.flowed]).toEqual([0, false, true]);
  });

  test('a voice that may not be played is not heard, whatever the candidate says; but media flows', async () => {
    const { clock, media, heard, ended } = setUp();
    media.offered();
    media.blocked(1);
    media.answered(1);
    await clock.advance(600_000);
    expect([ended(), heard]).toEqual([0, []]);
    media.connected(1);
    expect(heard).toEqual([1]);
  });

  test('a session that another machine has served is not ended for want of evidence', async () => {
    const { clock, media, ended } = setUp(true);
    media.offered();
    await clock.advance(600_000);
    expect(ended()).toBe(0);
  });
});
