import type { ClientMessage } from '@greenroom/shared/protocol/socket.ts';
import { maxTypedAnswer } from '@greenroom/shared/protocol/socket-values.ts';

/**
 * Answers that are typed instead of spoken. They are sent again with the same id until they are acknowledged as
 * stored, because the worker may refuse one temporarily (the call is being replaced, or answers come too fast).
 */
export interface TypedAnswers {
  say(text: string): void;
  resend(): void;
  stored(itemIds: readonly string[]): void;
  readonly pending: number;
  stop(): void;
}

export interface TypedAnswersDeps {
  send(message: ClientMessage): boolean;
  mayAsk(): boolean;
  onChange(): void;
}

const resendMs = 3_000;

const newId = (): string => crypto.randomUUID().replaceAll('-', '').slice(0, 24);

export function createTypedAnswers({ send, mayAsk, onChange }: TypedAnswersDeps): TypedAnswers {
  /** By the item id of the future transcript entry. */
  const waiting = new Map<string, { id: string; text: string }>();
  let timer: ReturnType<typeof setInterval> | undefined;
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
  };
  const resend = () => {
    const [first] = waiting.values();
    // One at a time, so that their order is kept.
    if (first && mayAsk()) send({ type: 'typed_answer', ...first });
  };
  return {
    say: (text) => {
      const clean = text.trim().slice(0, maxTypedAnswer).toWellFormed();
      if (clean === '') return;
      const id = newId();
      waiting.set(`typed_${id}`, { id, text: clean });
      timer ??= setInterval(resend, resendMs);
      if (waiting.size === 1) resend();
      onChange();
    },
    resend,
    stored: (itemIds) => {
      const count = itemIds.filter((id) => waiting.delete(id)).length;
      if (waiting.size === 0) stop();
      else if (count > 0) resend();
    },
    get pending() {
      return waiting.size;
    },
    stop,
  };
}
