import type { Clock, Timer } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { SessionReason } from '@greenroom/shared/session/reasons.ts';
import { asArray, asId, asObject, type Json, type ProviderEvent } from './events.ts';

/**
 * Keeps the interviewer from falling silent: a reply that is due and does not come is requested again.
 *
 * - A reply is due when we request one and when the provider takes the candidate's turn. A completed response
 *   with output settles it. One that failed, was incomplete, was cancelled or never began does not.
 * - A reply is requested again `retryMs.length` times with growing pauses; then the session ends with a
 *   reason. Replies that are only incomplete do not end the session: the candidate has heard their beginning
 *   and can continue.
 * - Nothing is requested while the candidate speaks or another response is in progress.
 * - A provider account without credit cannot reply at all: the session ends at once.
 */
export interface Replies {
  /** We have asked for a response. */
  asked(): void;
  event(event: ProviderEvent): void;
  /** Receiving again after a gap: a response or turn that was in progress may have ended in the meantime. */
  resumed(): void;
  stop(): void;
}

export interface RepliesDeps {
  clock: Clock;
  log: Logger;
  /** Requests the reply that is due. */
  ask(): void;
  /** No reply can be produced. */
  onFailed(reason: SessionReason): void;
}

const retryMs = [1_000, 2_000, 4_000, 8_000, 15_000, 25_000];
/** How long a requested reply, or the reply to a turn, may take to begin; also after an interruption. */
const silentMs = 15_000;

const failureReasons: Record<string, SessionReason> = {
  insufficient_quota: 'quota_exceeded',
  rate_limit_exceeded: 'provider_rate_limited',
};

export function createReplies({ clock, log, ask, onFailed }: RepliesDeps): Replies {
  let timer: Timer | undefined;
  let tries = 0;
  let due = false;
  let responding = false;
  let speaking = false;
  let lastFailure: { code: string; incomplete: boolean } = { code: '', incomplete: false };

  const askAgain = () => {
    if (speaking || responding) return waitFor(silentMs);
    if (tries >= retryMs.length) return giveUp();
    tries += 1;
    log.warn({ attempt: tries, code: lastFailure.code }, 'no reply was produced; requesting it again');
    ask();
  };
  const giveUp = () => {
    stop();
    if (!lastFailure.incomplete) onFailed(failureReasons[lastFailure.code] ?? 'provider_unavailable');
  };
  const waitFor = (delayMs: number) => {
    timer?.cancel();
    timer = clock.setTimer(askAgain, delayMs);
  };
  const stop = () => {
    timer?.cancel();
    timer = undefined;
    due = false;
  };

  const isDue = () => {
    due = true;
    waitFor(silentMs);
  };
  const failed = (code: string, incomplete: boolean) => {
    if (code === 'insufficient_quota') {
      stop();
      return onFailed('quota_exceeded');
    }
    if (!due) return;
    lastFailure = { code, incomplete };
    if (tries >= retryMs.length) giveUp();
    else waitFor(retryMs[tries] ?? silentMs);
  };
  const responseDone = ({ status, status_details, output }: Json) => {
    responding = false;
    const { reason, error } = asObject(status_details);
    switch (status) {
      case 'failed':
        return failed(asId(asObject(error).code) ?? '', false);
      case 'incomplete':
        return failed(asId(reason) ?? '', true);
      case 'cancelled':
        // The candidate interrupted, so their turn is answered next. If no turn follows, the reply is
        // requested again.
        return reason === 'turn_detected' ? isDue() : failed(asId(reason) ?? '', false);
      default:
        if (asArray(output).length === 0) return failed('empty', true);
        tries = 0;
        return stop();
    }
  };

  const handlers: Record<string, (event: ProviderEvent) => void> = {
    'input_audio_buffer.speech_started': () => {
      speaking = true;
    },
    'input_audio_buffer.speech_stopped': () => {
      speaking = false;
    },
    'input_audio_buffer.committed': () => {
      speaking = false;
      isDue();
    },
    'input_audio_buffer.timeout_triggered': isDue,
    'response.created': () => {
      responding = true;
      timer?.cancel();
    },
    'response.done': ({ response }) => responseDone(asObject(response)),
    error: ({ error }) => {
      const code = asId(asObject(error).code) ?? '';
      if (code in failureReasons) failed(code, false);
    },
  };

  return {
    asked: isDue,
    event: (event) => handlers[event.type]?.(event),
    resumed: () => {
      speaking = false;
      responding = false;
    },
    stop,
  };
}
