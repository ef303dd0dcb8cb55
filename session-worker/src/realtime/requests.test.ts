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

describe('what a candidate asks', () => {
  test('is a note to the interviewer, who answers it; for a moment it stays silent', async () => {
    const { clock, told, requests } = setUp();
    expect(requests.ask('repeat')).toBe('done');
    await clock.advance(2_000);
    expect(requests.ask('moment')).toBe('done');
    expect(told).toEqual([
      { note: expect.stringContaining('say that again'), answer: true },
      { note: expect.stringContaining('a moment'), answer: false },
    ]);
  });

  test('is heard at most every two seconds, since each makes the interviewer speak', async () => {
    const { clock, told, requests } = setUp();
    requests.ask('repeat');
    expect(requests.ask('slower')).toBe('too_often');
    await clock.advance(2_000);
    expect(requests.ask('slower')).toBe('done');
    expect(told).toHaveLength(2);
  });

  test('while the call cannot be spoken on is refused, and may be asked again at once', () => {
    const { told, attached, requests } = setUp();
    attached.now = false;
    expect(requests.ask('repeat')).toBe('not_now');
    attached.now = true;
    expect([requests.ask('repeat'), told.length]).toEqual(['done', 1]);
  });
});

describe('a typed answer', () => {
  test('is the candidate’s own item, and is asked once however often it is sent', () => {
    const { typed, requests } = setUp();
    expect(requests.type('abcdefgh', 'Redis.')).toBe('done');
    expect(requests.type('abcdefgh', 'Redis.')).toBe('done');
    expect(typed).toEqual(['typed_abcdefgh: Redis.']);
  });
});
