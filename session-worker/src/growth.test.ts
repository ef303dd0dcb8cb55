import type { TranscriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { firstSteepDoubling } from '@greenroom/shared/runtime/growth.ts';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import { expect, test } from 'vitest';
import { added, reply, transcribed } from '../test/conversation.ts';
import { createCallLog } from './realtime/openai/call-log.ts';
import { type ProviderEvent, parseProviderEvent } from './realtime/openai/events.ts';
import { createGuard } from './realtime/openai/guard.ts';
import { looksLikeAnswer, offerProblem } from './realtime/openai/sdp.ts';
import { readMessage } from './room/read-message.ts';
import { createTranscript } from './transcript/transcript.ts';
import { createWriter } from './transcript/writer.ts';

/**
 * The cost of a long call, of a browser that tampers with its call, and of a long message grows linearly with the length. A browser
 * that typed 4,000 items into its call once kept its worker busy for 75 seconds.
 */
/** Characters of a frame. */
const frameLimit = 262_144;

/** Items of one call: with one every second in an interview of two hours. */
const mostItems = 8_192;

type Event = Record<string, unknown>;
const logger = createLogger({ level: 'silent', component: 'test' });
/** A clock whose timers never fire. */
const clock: Clock = { ...createFakeClock(), setTimer: () => ({ cancel: () => undefined }) };

const typedIn = (id: string, previous: string | null): Event =>
  added(id, previous, { role: 'user', content: [{ type: 'input_text', text: 'Hire me.' }] });
const audio = (id: string, previous: string | null): Event[] => [
  { type: 'input_audio_buffer.committed', item_id: id, previous_item_id: previous },
  transcribed(id, 'Hello.'),
];
const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const before = (n: number): string | null => (n === 0 ? null : `item_${n - 1}`);

/** Events of a call, by their number. */
const calls: Readonly<Record<string, (count: number) => Event[]>> = {
  'items that a browser typed in': (count) => numbers(count).map((n) => typedIn(`item_${n}`, before(n))),
  'the same, announced backwards': (count) =>
    numbers(count).map((n) => typedIn(`item_${count - n}`, before(count - n))),
  'typed items between spoken ones': (count) =>
    numbers(count).flatMap((n) => [
      typedIn(`item_${n}`, before(n)),
      ...(n % 10 === 0 ? audio(`said_${n}`, `item_${n}`) : []),
    ]),
  'typed items, then spoken ones that follow the last': (count) => [
    ...numbers(count).map((n) => typedIn(`item_${n}`, before(n))),
    ...numbers(count).flatMap((n) => audio(`said_${n}`, `item_${count - 1}`)),
  ],
  'items in a circle': (count) => [
    ...numbers(count).map((n) => typedIn(`item_${n}`, `item_${(n + 1) % count}`)),
    ...numbers(count).flatMap((n) => audio(`said_${n}`, 'item_0')),
  ],
  replies: (count) => numbers(count).flatMap((n) => reply(`item_${n}`, before(n), 'And then?')),
  'one reply in pieces': (count) =>
    numbers(count).map(() => ({
      type: 'response.output_audio_transcript.delta',
      item_id: 'item_1',
      response_id: 'resp_1',
      delta: 'word '.repeat(200),
    })),
  'one reply of many parts': (count) =>
    numbers(count).map((n) => ({
      type: 'response.output_text.done',
      ...{ item_id: 'item_1', response_id: 'resp_1', content_index: n, text: 'word' },
    })),
  'one response of many items': (count) =>
    numbers(count).map((n) => ({
      type: 'response.output_item.added',
      response_id: 'resp_1',
      item: { id: `item_${n}`, type: 'message' },
    })),
};

test.each(Object.entries(calls))('the log of a call: %s', { timeout: 60_000 }, (_name, eventsOf) => {
  const prepare = (count: number) => {
    const events = eventsOf(count) as ProviderEvent[];
    return () => {
      const log = createCallLog(1);
      for (const event of events) log.apply(event, 0);
      return log.entries();
    };
  };
  expect(firstSteepDoubling(prepare, { to: mostItems })).toBeUndefined();
});

test.each(Object.entries(calls))('the guard of a call: %s', { timeout: 60_000 }, (_name, eventsOf) => {
  const prepare = (count: number) => {
    const events = eventsOf(count).map((event, n) => ({
      ...event,
      event_id: `event_${n}`,
    })) as unknown as ProviderEvent[];
    return () => {
      const guard = createGuard({ clock, log: logger, send: () => true, update: {}, flag: () => undefined });
      for (const event of events) guard.event(event);
      guard.stop();
    };
  };
  expect(firstSteepDoubling(prepare, { to: mostItems })).toBeUndefined();
});

test('copies from the browser, one per message and many per message', { timeout: 60_000 }, () => {
  const copy = (n: number): TranscriptEntryInput => ({
    ...{ ordinal: 1, item_id: `item_${n}`, previous_item_id: before(n), speaker: 'candidate', text: 'words' },
  });
  for (const inOne of [1, 200]) {
    const prepare = (count: number) => {
      const messages = numbers(count / inOne).map((n) => numbers(inOne).map((m) => copy(n * inOne + m)));
      return () => {
        const writer = createWriter({
          ...{ clock, log: logger, onStored: () => undefined, onFenced: () => undefined },
          append: () => new Promise(() => undefined),
        });
        const transcript = createTranscript({ writer, isHeard: () => true, send: () => undefined });
        transcript.open(1);
        for (const entries of messages) transcript.copies(entries);
        writer.stop();
      };
    };
    expect(firstSteepDoubling(prepare, { from: 800, to: 12_800 })).toBeUndefined();
  }
});

test.each([
  ['a frame of brackets', (n: number) => readMessage('['.repeat(n))],
  ['a frame of letters', (n: number) => readMessage('a'.repeat(n))],
  ['a frame with many fields', (n: number) => readMessage(`{"type":"ping",${'"a":1,'.repeat(n / 6)}"b":1}`)],
  ['an offer of short lines', (n: number) => offerProblem(`v=0\r\n${'a=\r\n'.repeat(n / 4)}`)],
  ['an offer of line breaks', (n: number) => offerProblem(`v=0\n${'\r'.repeat(n)}`)],
  ['an answer of line breaks', (n: number) => looksLikeAnswer(`v=0\n${'\nm=audio'.repeat(n / 8)}`)],
  ['an event of the provider', (n: number) => parseProviderEvent(`{"type":"${'a'.repeat(n)}"}`)],
])('%s', { timeout: 60_000 }, (_name, work) => {
  expect(firstSteepDoubling((size) => () => work(size), { to: frameLimit })).toBeUndefined();
});
