import { maxCorrection } from '@greenroom/shared/protocol/socket-values.ts';
import { type FormEvent, useId, useLayoutEffect, useRef, useState } from 'react';
import type { TranscriptLine } from '../src/types.ts';
import { useInterview, useMessages } from './hooks.ts';

/**
 * After the interview: what the candidate says they really said in one of their own entries. It stands beside the text.
 * Needs the join link, because the invitation permits it.
 */
export function Correction({ line }: { line: TranscriptLine }) {
  const interview = useInterview();
  const messages = useMessages();
  const id = useId();
  const [text, setText] = useState<string | null>(null);
  const [state, setState] = useState<'idle' | 'sending' | 'failed'>('idle');
  const field = useRef<HTMLTextAreaElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const wasOpen = useRef(false);
  const isOpen = text !== null;
  useLayoutEffect(() => {
    // Focus would fall to the body with the control that had it.
    if (isOpen) field.current?.focus();
    else if (wasOpen.current) button.current?.focus();
    wasOpen.current = isOpen;
  }, [isOpen]);
  if (line.speaker !== 'candidate') return null;
  const save = async (event: FormEvent) => {
    event.preventDefault();
    if (state === 'sending') return;
    setState('sending');
    const isStored = await interview.correct(line, text?.trim() || null).catch(() => false);
    setState(isStored ? 'idle' : 'failed');
    if (isStored) setText(null);
  };
  return (
    <div data-part="correction">
      {line.correction && (
        <p>
          {messages.corrected} <q>{line.correction}</q>
        </p>
      )}
      {isOpen ? (
        <form onSubmit={save}>
          <label htmlFor={id}>{messages.correctLabel}</label>
          <textarea
            ref={field}
            id={id}
            rows={4}
            value={text}
            maxLength={maxCorrection}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
          <p role="alert">{state === 'failed' ? messages.correctFailed : ''}</p>
          <button type="submit" data-primary="" aria-disabled={state === 'sending'}>
            {messages.save}
          </button>
          <button type="button" onClick={() => setText(null)}>
            {messages.cancel}
          </button>
        </form>
      ) : (
        <button ref={button} type="button" onClick={() => setText(line.correction ?? line.text)}>
          {messages.correct}
        </button>
      )}
    </div>
  );
}
