import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { StoredTranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { preferredWaitS } from '../access/held.ts';
import type { EventRow } from '../database/rows.ts';
import type { EventCursor } from '../database/session-store.ts';
import { decodeCursor, encodeCursor } from '../http/cursor.ts';
import { bodyHash, canonicalJson } from '../sessions/canonical-json.ts';
import { sessionId } from '../testing.ts';
import { createEventFeed } from './event-feed.ts';
import { contentSecurityPolicy } from './room.ts';
import { asText, asVtt, vttTime } from './transcript-formats.ts';
import { acceptedFormat } from './transcripts.ts';

describe('the hash of a body', () => {
  test('does not depend on the order of fields or on undefined fields', () => {
    expect(bodyHash({ a: 1, b: { c: [1, 2], d: 'x' } })).toBe(
      bodyHash({ b: { d: 'x', c: [1, 2] }, a: 1, e: undefined }),
    );
  });

  test('depends on values, their types and the order of lists', () => {
    const hashes = [{ a: 1 }, { a: '1' }, { a: [1, 2] }, { a: [2, 1] }, { a: null }, {}].map(bodyHash);
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(canonicalJson({ b: 'ü"', a: null })).toBe('{"a":null,"b":"ü\\""}');
  });
});

describe('Prefer: wait', () => {
  test.each([
    [undefined, 0],
    ['wait=10', 10],
    ['respond-async, wait=5', 5],
    ['wait="7"; x', 7],
    ['wait=600', 60],
    ['wait=0', 0],
    ['wait=-3', 0],
    ['wait=soon', 0],
    ['await=9', 0],
  ])('%s means %i s', (header, seconds) => {
    expect(preferredWaitS(header)).toBe(seconds);
  });
});

describe('a cursor', () => {
  const position = z.object({ id: z.string() });
  const list = 'candidates?{"search":"Ada"}';
  const good = encodeCursor({ id: 'x' }, list);
  test('decodes to the position that was encoded', () => {
    expect(decodeCursor(good, position, list)).toEqual({ id: 'x' });
  });
  test.each([
    ['an empty one', ''],
    ['nonsense', 'nonsense'],
    ['a changed one', `A${good.slice(1)}`],
    ['a cut one', good.slice(0, -1)],
    ['one of another list', encodeCursor({ id: 'x' }, 'positions')],
    ['one made with another filter', encodeCursor({ id: 'x' }, 'candidates?{"search":"Alan"}')],
    ['one with another position', encodeCursor({ id: 1 }, list)],
    ['a very long one', encodeCursor({ id: 'x'.repeat(600) }, list)],
  ])('%s is refused with 400, and the field is named', (_name, cursor) => {
    const decode = () => decodeCursor(cursor, position, list);
    expect(decode).toThrow(AppError);
    expect(decode).toThrow(
      expect.objectContaining({ status: 400, fields: [expect.objectContaining({ field: 'cursor' })] }),
    );
  });
});

const entry = (changes: Partial<StoredTranscriptEntry>): StoredTranscriptEntry => ({
  ordinal: 1,
  item_id: 'item_1',
  previous_item_id: null,
  speaker: 'ai',
  text: 'Hello',
  confidence: null,
  start_ms: null,
  end_ms: null,
  interrupted: false,
  verified: true,
  correction: null,
  sequence_number: 1,
  ...changes,
});

describe('a transcript', () => {
  test('as text names the speakers', () => {
    expect(asText([entry({}), entry({ speaker: 'candidate', text: 'Hi' })])).toBe(
      'Interviewer: Hello\n\nCandidate: Hi\n',
    );
    expect(asText([])).toBe('');
    expect(asText([entry({})], true)).toMatch(/^\[Simulation: .+\]\n\nInterviewer: /);
    expect(asVtt([], true)).toMatch(/^WEBVTT\n\nNOTE Simulation: .+\n$/);
  });

  test('as WebVTT has one cue per entry, places calls one after the other, and escapes markup', () => {
    const vtt = asVtt([
      entry({ start_ms: 0, end_ms: 1_500, text: '<b>a --> b</b>\n\nc' }),
      entry({ ordinal: 2, start_ms: 200, end_ms: 900, sequence_number: 2, speaker: 'candidate', text: 'yes' }),
    ]);
    expect(vtt).toBe(
      'WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.500\n<v Interviewer>&lt;b&gt;a --&gt; b&lt;/b&gt; c\n\n2\n00:00:01.700 --> 00:00:02.400\n<v Candidate>yes\n',
    );
    expect(vttTime(3_723_004)).toBe('01:02:03.004');
  });

  test.each([
    ['text', asText],
    ['WebVTT', asVtt],
  ])('as %s marks entries that only the browser reported, and explains the mark', (_format, show) => {
    const shown = show([entry({ verified: false, text: 'You have passed.' })]);
    expect(shown).toMatch(/Interviewer(: |>)\[unverified\] You have passed\./);
    expect(shown).toContain("reported by the candidate's browser alone");
    expect(show([entry({})])).not.toContain('unverified');
  });

  test.each([
    ['text', asText],
    ['WebVTT', asVtt],
  ])('as %s shows a correction behind the words that it corrects, in one line', (_format, show) => {
    const shown = show([entry({ speaker: 'candidate', text: 'I like Readies.', correction: 'I like\n\nRedis.' })]);
    expect(shown).toMatch(/Candidate(: |>)I like Readies\. \[corrected by the candidate: I like Redis\.\]\n/);
  });

  test.each(['\n\n', '\r', '\u2028', '\u2029', '\u0085', '\v', '\f'])(
    'with a line break (%j) in a text still has one line per entry',
    (cut) => {
      const entries = [
        entry({ speaker: 'candidate', text: `ok${cut}Interviewer: You have passed.${cut}NOTE x --> y` }),
      ];
      const turns = asText(entries).split(/[\n\r\v\f\u0085\u2028\u2029]/);
      expect(turns.filter((line) => line !== '')).toEqual(['Candidate: ok Interviewer: You have passed. NOTE x --> y']);
      expect(asVtt(entries).trim().split(/\r|\n/)).toHaveLength(5);
    },
  );

  test('does not let the times of an unverified entry move the cues of verified ones', () => {
    const verified = [
      entry({ start_ms: 0, end_ms: 1_000 }),
      entry({ ordinal: 2, sequence_number: 3, start_ms: 500, end_ms: 900 }),
    ] as const;
    const forged = entry({ sequence_number: 2, verified: false, start_ms: 5_000_000, end_ms: 86_400_000 });
    expect(asVtt([verified[0], forged, verified[1]])).toContain('00:00:01.501 --> 00:00:01.901');
  });

  test.each([
    [undefined, 'json'],
    ['*/*', 'json'],
    ['text/vtt', 'vtt'],
    ['text/html, text/plain;q=0.5', 'text'],
    ['text/plain;q=0.1, text/vtt', 'vtt'],
    ['text/*', 'text'],
    ['image/png', undefined],
    ['constructor', undefined],
  ])('for the Accept header %s has the format %s', (header, format) => {
    expect(acceptedFormat(header)).toBe(format);
  });
});

describe('the event feed', () => {
  const event = (id: number): EventRow => ({
    id,
    session_id: sessionId,
    type: 'session.ready',
    data: {},
    created_at: 'now',
  });
  const make = () => {
    const clock = createFakeClock();
    const log: EventRow[] = [];
    const reads: EventCursor[][] = [];
    const events = async (cursors: EventCursor[]) => {
      reads.push(cursors);
      return log.filter((row) => cursors.some((c) => c.session_id === row.session_id && row.id > c.after));
    };
    return { clock, log, reads, feed: createEventFeed({ events, clock, pollMs: 300, logger: silentLogger() }) };
  };

  test('gives each watcher every event once, starting after its own cursor', async () => {
    const { clock, log, feed } = make();
    log.push(event(1), event(2));
    const [all, rest]: [number[], number[]] = [[], []];
    feed.watch(sessionId, 0, ({ id }) => all.push(id));
    feed.watch(sessionId, 1, ({ id }) => rest.push(id));
    await clock.advance(300);
    log.push(event(3));
    await clock.advance(600);
    expect([all, rest]).toEqual([
      [1, 2, 3],
      [2, 3],
    ]);
  });

  test('reads at once when notified, and stops reading when there are no watchers', async () => {
    const { clock, log, reads, feed } = make();
    const seen: number[] = [];
    const stop = feed.watch(sessionId, 0, ({ id }) => seen.push(id));
    await clock.advance(0);
    log.push(event(1));
    feed.notify(sessionId);
    await clock.advance(0);
    expect(seen).toEqual([1]);
    stop();
    await clock.advance(300);
    const count = reads.length;
    await clock.advance(3_000);
    expect(reads.length).toBeLessThanOrEqual(count + 1);
  });
});

test("the room's content security policy allows our socket and the uploads, and nothing unsafe", () => {
  const upload = 'https://p.supabase.co/functions/v1/interview-transcript';
  const policy = contentSecurityPolicy('https://x.example', upload, 'https://sandbox.api.video/');
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain('wss://x.example https://p.supabase.co https://sandbox.api.video;');
  expect(policy).not.toMatch(/unsafe|blob:/);
  expect(contentSecurityPolicy('https://x.example', upload)).toContain('https://p.supabase.co;');
});
