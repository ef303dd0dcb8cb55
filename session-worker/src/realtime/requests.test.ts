import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { describe, expect, test } from 'vitest';
import { createRequests } from './requests.ts';

const setUp = () => {
  const clock = createFakeClock();
  const told: Array<{ note: string; answer: boolean }> = [];
  const typed: string[] = [];
  const attached = { now: true };
  const requests = createRequests({
    clock,
    tell: (note, answer) => attached.now && told.push({ note, answer }) > 0,
    type: (itemId, text) => attached.now && typed.push(`${itemId}: ${text}`) > 0,
  });
  return { clock, told, typed, attached, requests };
};

describe('a candidate’s request', () => {
  test('is a note to the interviewer, who replies to it, except to a request for a moment', async () => {
    const { clock, told, requests } = setUp();
    expect(requests.ask('repeat')).toBe('done');
    await clock.advance(2_000);
    expect(requests.ask('moment')).toBe('done');
    expect(told).toEqual([
      { note: expect.stringContaining('say that again'), answer: true },
      { note: expect.stringContaining('a moment'), answer: false },
    ]);
  });

  test('is accepted at most every two seconds', async () => {
    const { clock, told, requests } = setUp();
    requests.ask('repeat');
    expect(requests.ask('slower')).toBe('too_often');
    await clock.advance(2_000);
    expect(requests.ask('slower')).toBe('done');
    expect(told).toHaveLength(2);
  });

  test('is refused while the call has no sideband, and may be repeated at once', () => {
    const { told, attached, requests } = setUp();
    attached.now = false;
    expect(requests.ask('repeat')).toBe('not_now');
    attached.now = true;
    expect([requests.ask('repeat'), told.length]).toEqual(['done', 1]);
  });
});

describe('a typed answer', () => {
  test('is an item of the candidate, and is inserted once however often it is sent', () => {
    const { typed, requests } = setUp();
    expect(requests.type('abcdefgh', 'Redis.')).toBe('done');
    expect(requests.type('abcdefgh', 'Redis.')).toBe('done');
    expect(typed).toEqual(['typed_abcdefgh: Redis.']);
  });
});
