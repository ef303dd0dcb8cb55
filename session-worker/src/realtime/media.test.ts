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
  // Failure pinned: with UDP blocked, six greetings were stored as said, and the session counted as completed after 50 minutes.
  test('without evidence of media the session ends in time after the first offer, whatever offers follow', async () => {
    const { clock, media, heard, ended } = setUp();
    media.offered();
    await clock.advance(60_000);
    media.offered();
    await clock.advance(40_000);
    expect([ended(), heard, media.flowed, media.isHeard(1)]).toEqual([1, [], false, false]);
  });

  test.each<[string, (media: Media) => void]>([
    ['the browser reports the call as connected', (media) => media.connected(1)],
    ['the candidate is heard', (media) => media.answered(1)],
  ])('%s: the session goes on, and the call counts as heard once', async (_what, evidence) => {
    const { clock, media, heard, ended } = setUp();
    media.offered();
    evidence(media);
    evidence(media);
    await clock.advance(600_000);
    expect([ended(), heard, media.isHeard(1), media.isHeard(2)]).toEqual([0, [1], true, false]);
  });

  test('evidence in one call does not count for another, but the session keeps counting as having had media', async () => {
    const { clock, media, ended } = setUp();
    media.offered();
    media.connected(1);
    media.offered();
    await clock.advance(600_000);
    expect([ended(), media.isHeard(2), media.flowed]).toEqual([0, false, true]);
  });

  test('while the browser may not play audio, the interviewer counts as unheard although media flows', async () => {
    const { clock, media, heard, ended } = setUp();
    media.offered();
    media.blocked(1);
    media.answered(1);
    await clock.advance(600_000);
    expect([ended(), heard]).toEqual([0, []]);
    media.connected(1);
    expect(heard).toEqual([1]);
  });

  test('a session that another machine served before is not ended for lack of evidence', async () => {
    const { clock, media, ended } = setUp(true);
    media.offered();
    await clock.advance(600_000);
    expect(ended()).toBe(0);
  });
});
