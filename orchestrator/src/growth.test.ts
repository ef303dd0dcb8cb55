import { inOneLine, quoted } from '@greenroom/shared/protocol/one-line.ts';
import { storable } from '@greenroom/shared/protocol/storable.ts';
import type { StoredTranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import { firstSteepDoubling } from '@greenroom/shared/runtime/growth.ts';
import { readRetryAfter } from '@greenroom/shared/runtime/retry-after.ts';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { bearerOf } from './access/bearer.ts';
import { preferredWaitS } from './access/held.ts';
import { addressBlockOf } from './access/remote-address.ts';
import { userTokenForm } from './access/users.ts';
import { hasTooManyValues } from './api/problems.ts';
import { asText, asVtt } from './api/transcript-formats.ts';
import { acceptedFormat } from './api/transcripts.ts';
import type { SessionRow } from './database/rows.ts';
import { wholeAnswer } from './finishing/answers.ts';
import { classifyAnswer } from './finishing/model.ts';
import { quoteInterview } from './finishing/quote.ts';
import { halve, keepWithin, splitIntoParts } from './finishing/split-transcript.ts';
import { classifyCreate, classifyRefusal, parseMachine } from './fly/classify.ts';
import { decodeCursor } from './http/cursor.ts';
import { canonicalJson } from './sessions/canonical-json.ts';
import { classifyRefusal as classifyVideo, withoutToken } from './video/client.ts';
import { instructionsOf } from './voice/instructions.ts';
import { judge } from './webhooks/sender.ts';

/**
 * What others send, apart from bodies (shared/src/protocol/growth.test.ts): headers, names, transcripts, and the answers of Fly,
 * the voice provider, api.video and webhooks. Each is doubled up to the largest that can come, or to one that is much too large.
 */
const headerLimit = 16_384;
const bodyLimit = 262_144;
const answerLimit = 4_194_304;
const transcriptLimit = 16_384;

const texts: Readonly<Record<string, (length: number) => string>> = {
  blanks: (n) => ' '.repeat(n),
  'line breaks': (n) => '\n'.repeat(n),
  letters: (n) => 'a'.repeat(n),
  'blanks and letters': (n) => ' a'.repeat(n / 2),
  commas: (n) => ','.repeat(n),
  'commas and semicolons': (n) => ',;'.repeat(n / 2),
  dots: (n) => '.'.repeat(n),
  'letters and dots': (n) => 'a.'.repeat(n / 2),
  digits: (n) => '9'.repeat(n),
  quotes: (n) => '"'.repeat(n),
  ampersands: (n) => '&<'.repeat(n / 2),
  'halves of characters': (n) => '\ud800'.repeat(n),
  'wait preferences': (n) => 'wait=1,'.repeat(n / 7),
  colons: (n) => '1:'.repeat(n / 2),
  'URLs with tokens': (n) => `https://a/${'token/'.repeat(n / 6)}`,
};

const headers: Readonly<Record<string, (text: string) => unknown>> = {
  authorization: (text) => bearerOf({ headers: { authorization: `Bearer ${text}` } }),
  'access token': (text) => userTokenForm.test(text),
  accept: acceptedFormat,
  prefer: preferredWaitS,
  'fly-client-ip': (text) => addressBlockOf({ headers: { 'fly-client-ip': text }, ip: '::1' }),
  cursor: (text) => {
    try {
      return decodeCursor(text, z.object({ id: z.string() }), 'sessions');
    } catch {
      return undefined;
    }
  },
  'retry-after of a webhook': (text) => judge({ kind: 'answered', status: 500, retryAfter: text, head: '' }, 1, 0),
  'retry-after of a service': (text) => readRetryAfter(text),
};

const session = (text: string): SessionRow =>
  ({
    interview_context: { candidate: { name: text }, position: { title: text, description: text } },
    settings: { opening: text, instructions: text, questions: [text] },
  }) as unknown as SessionRow;

const names: Readonly<Record<string, (text: string) => unknown>> = {
  'a name in the instructions': (text) => instructionsOf(session(text)),
  'a quoted name': quoted,
  'words in one line': inOneLine,
  'words as they are stored': storable,
};

const noHeaders = { requestId: undefined, retryAfterMs: undefined };
const answers: Readonly<Record<string, (text: string) => unknown>> = {
  'an error of Fly': (text) => classifyRefusal({ status: 422, body: { error: text }, ...noHeaders }),
  'an answer of Fly to a create': (text) => classifyCreate({ status: 409, body: { error: text }, ...noHeaders }),
  'an error of api.video': (text) => classifyVideo(429, { 'retry-after': text }, { title: text }),
  'a player URL of api.video': (text) => (URL.canParse(text) ? withoutToken(text) : text),
  'an answer of the model': (text) =>
    classifyAnswer(
      {
        object: 'response',
        status: 'completed',
        output: [{ type: 'message', content: [{ type: 'output_text', text }] }],
      },
      wholeAnswer,
    ),
};
const entry = (n: number): StoredTranscriptEntry =>
  ({
    ordinal: 1,
    item_id: `item_${n}`,
    previous_item_id: null,
    sequence_number: n,
    speaker: n % 7 === 0 ? 'ai' : 'candidate',
    text: 'word '.repeat(20),
    correction: n % 2 > 0 ? 'word '.repeat(20) : null,
    verified: n % 3 > 0,
    start_ms: null,
    end_ms: null,
  }) as unknown as StoredTranscriptEntry;

const machine = (n: number) => ({ id: `m${n}`, state: 'started', config: { metadata: { machine_id: `${n}` } } });

const lists: Readonly<Record<string, { of: (n: number) => unknown; work: (items: never[]) => unknown; to: number }>> = {
  'machines of Fly': { of: machine, work: (list) => list.map(parseMachine), to: 65_536 },
  'values of a body': { of: (n) => [n], work: (list) => hasTooManyValues({ list }), to: 262_144 },
  'a body as one text': { of: (n) => ({ [`key${n}`]: n }), work: (list) => canonicalJson(list), to: 65_536 },
  'a transcript in parts': { of: entry, work: (list) => splitIntoParts(list, 2_000), to: transcriptLimit },
  'a transcript in one part after the other, without a question': {
    of: (n) => ({ ...entry(n), speaker: 'candidate' }),
    work: (list) => splitIntoParts(list, 60_000),
    to: transcriptLimit,
  },
  'a transcript in halves': { of: entry, work: (list) => halve(list), to: transcriptLimit },
  'a transcript within its bounds': {
    of: entry,
    work: (list) => keepWithin(list, 240_000, 60_000),
    to: transcriptLimit,
  },
  'a transcript as text': { of: entry, work: (list) => asText(list), to: transcriptLimit },
  'a transcript as WebVTT': { of: entry, work: (list) => asVtt(list), to: transcriptLimit },
  'a transcript for the model': {
    of: entry,
    work: (list) =>
      quoteInterview(
        {
          ...{ sessionId: '1', position: { title: 'x', description: null }, language: 'en' },
          ...{ plannedQuestions: [], integrityFlags: [], entries: list },
        },
        list,
      ),
    to: transcriptLimit,
  },
};

const overTexts = (judged: (text: string) => unknown, to: number): string[] =>
  Object.entries(texts).flatMap(([name, make]) => {
    const prepare = (length: number) => {
      const text = make(length);
      return () => judged(text);
    };
    const found = firstSteepDoubling(prepare, { to });
    return found === undefined ? [] : [`${name}: ${found}`];
  });

test('the measure sees work of quadratic time', () => {
  const linear = (size: number) => () => Array.from({ length: size }, (_, n) => `item ${n}`).join();
  const quadratic = (size: number) => () => {
    let sum = 0;
    for (let a = 0; a < size; a += 1) for (let b = 0; b < size; b += 1) sum += a ^ b;
    return sum;
  };
  expect(firstSteepDoubling(quadratic, { to: 16_384 })).toBeDefined();
  expect(firstSteepDoubling(linear, { to: 262_144 })).toBeUndefined();
});

test.each(Object.entries(headers))('a header: %s', { timeout: 60_000 }, (_name, judged) => {
  expect(overTexts(judged, headerLimit).join('; ')).toBe('');
});

test.each(Object.entries(names))('%s', { timeout: 60_000 }, (_name, judged) => {
  expect(overTexts(judged, bodyLimit).join('; ')).toBe('');
});

test.each(Object.entries(answers))('%s', { timeout: 120_000 }, (_name, judged) => {
  expect(overTexts(judged, answerLimit).join('; ')).toBe('');
});

test.each(Object.entries(lists))('%s', { timeout: 60_000 }, (_name, { of, work, to }) => {
  const prepare = (size: number) => {
    const items = Array.from({ length: size }, (_, n) => of(n)) as never[];
    return () => work(items);
  };
  expect(firstSteepDoubling(prepare, { to })).toBeUndefined();
});
