import { createFakeClock } from '@greenroom/shared/runtime/fake-clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { describe, expect, test } from 'vitest';
import type { ProviderEvent } from './events.ts';
import { createReplies } from './replies.ts';

const committed: ProviderEvent = { type: 'input_audio_buffer.committed', item_id: 'c1', previous_item_id: null };
const created: ProviderEvent = { type: 'response.created', response: { id: 'r1', status: 'in_progress', output: [] } };
const done = (
  status: string,
  status_details: object = {},
  output: object[] = [{ type: 'message' }],
): ProviderEvent => ({
  type: 'response.done',
  response: { id: 'r1', status, status_details, output },
});
const failed = (code: string) => done('failed', { type: 'failed', error: { type: 'server_error', code } }, []);

function setUp() {
  const clock = createFakeClock();
  const asked: number[] = [];
  const reasons: string[] = [];
  const replies = createReplies({
    clock,
    log: silentLogger(),
    ask: () => {
      asked.push(clock.monotonicMs());
      replies.asked();
    },
    onFailed: (reason) => reasons.push(reason),
  });
  const hear = (...events: ProviderEvent[]) => {
    for (const event of events) replies.event(event);
  };
  return { clock, asked, reasons, replies, hear };
}

describe('a reply that was due and did not come', () => {
  // Failure pinned: a failed response was never requested again, and the candidate heard nothing more.
  test.each([
    ['failed: rate limited', failed('rate_limit_exceeded')],
    ['failed: the provider’s fault', failed('server_error')],
    ['left incomplete', done('incomplete', { reason: 'max_output_tokens' })],
    ['cancelled by a client', done('cancelled', { reason: 'client_cancelled' })],
    ['completed without output', done('completed', {}, [])],
  ])('%s: it is asked for again, and settled by one that is completed', async (_what, end) => {
    const { clock, asked, reasons, hear } = setUp();
    hear(committed, created, end);
    await clock.advance(2_000);
    expect(asked).toHaveLength(1);
    hear(created, done('completed'));
    await clock.advance(600_000);
    expect([asked.length, reasons]).toEqual([1, []]);
  });

  test('is requested six times, then the session ends with the reason', async () => {
    const { clock, asked, reasons, replies, hear } = setUp();
    replies.asked();
    for (let n = 0; n < 20; n += 1) {
      hear(created, failed('rate_limit_exceeded'));
      await clock.advance(30_000);
    }
    expect([asked.length, reasons]).toEqual([6, ['provider_rate_limited']]);
  });

  test('is requested as often when it is only incomplete, and then does not end the session', async () => {
    const { clock, asked, reasons, hear } = setUp();
    hear(committed);
    for (let n = 0; n < 20; n += 1) {
      hear(created, done('incomplete', { reason: 'content_filter' }));
      await clock.advance(30_000);
    }
    expect([asked.length, reasons]).toEqual([6, []]);
  });

  // Failure pinned: with an account without credit the candidate waited until the interview's time was up.
  test.each([
    ['in a response', failed('insufficient_quota')],
    ['in an error', { type: 'error', error: { type: 'insufficient_quota', code: 'insufficient_quota' } }],
  ])('no credit, told %s: the session is told at once and nothing is asked for', async (_what, event) => {
    const { clock, asked, reasons, hear } = setUp();
    hear(committed, event as ProviderEvent);
    await clock.advance(600_000);
    expect([asked.length, reasons]).toEqual([0, ['quota_exceeded']]);
  });

  test('is requested again when nothing follows the first request', async () => {
    const { clock, asked, replies } = setUp();
    replies.asked();
    await clock.advance(16_000);
    expect(asked).toHaveLength(1);
  });

  test('after an interruption is requested only if no turn of the candidate follows', async () => {
    const answered = setUp();
    answered.hear(committed, created, done('cancelled', { reason: 'turn_detected' }), committed, created);
    await answered.clock.advance(14_000);
    answered.hear(done('completed'));
    await answered.clock.advance(600_000);
    expect(answered.asked).toEqual([]);
    const silent = setUp();
    silent.hear(committed, created, done('cancelled', { reason: 'turn_detected' }));
    await silent.clock.advance(16_000);
    expect(silent.asked).toHaveLength(1);
  });

  test('is not requested while the candidate speaks or another response is in progress', async () => {
    const { clock, asked, hear } = setUp();
    hear(committed, created, failed('server_error'), { type: 'input_audio_buffer.speech_started' });
    await clock.advance(60_000);
    hear({ type: 'input_audio_buffer.speech_stopped' }, committed, created);
    await clock.advance(60_000);
    expect(asked).toEqual([]);
  });

  test('is not requested after the failure of a response that was not due', async () => {
    const { clock, asked, reasons, hear } = setUp();
    hear(created, failed('server_error'));
    await clock.advance(600_000);
    expect([asked, reasons]).toEqual([[], []]);
  });
});
