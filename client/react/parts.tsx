import { type ComponentType, type FormEvent, memo, useEffect, useRef, useState } from 'react';
import { actOf } from '../src/problems.ts';
import type { TranscriptLine } from '../src/types.ts';
import {
  useClock,
  useDevices,
  useInterview,
  useMessages,
  useProblem,
  useSaving,
  useStatus,
  useTranscript,
} from './hooks.ts';
import { timeOf } from './times.ts';

/** The parts of the room, each usable alone inside `<InterviewProvider>`. */
export interface PartProps {
  className?: string;
}

/** How loud the candidate is. Drawn in animation frames, without state. */
export function MicrophoneMeter({ className }: PartProps) {
  const interview = useInterview();
  const messages = useMessages();
  const meter = useRef<HTMLMeterElement>(null);
  useEffect(() => {
    let frame = 0;
    const draw = () => {
      if (meter.current) meter.current.value = interview.level.input();
      frame = requestAnimationFrame(draw);
    };
    draw();
    return () => cancelAnimationFrame(frame);
  }, [interview]);
  return (
    <meter
      ref={meter}
      className={className}
      data-part="microphone-meter"
      min={0}
      max={1}
      aria-label={messages.microphoneLevel}
    />
  );
}

/** Chooses the microphone; nothing is shown while there is no choice. */
export function DeviceMenu({ className }: PartProps) {
  const interview = useInterview();
  const messages = useMessages();
  const { microphone, all } = useDevices();
  const microphones = all.filter(({ kind, label }) => kind === 'microphone' && label !== '');
  if (microphones.length < 2) return null;
  return (
    <label className={className} data-part="device-menu">
      {messages.microphone}
      <select
        value={microphone?.id ?? ''}
        onChange={({ currentTarget }) => void interview.setDevice('microphone', currentTarget.value).catch(() => {})}
      >
        {microphones.map(({ id, label }) => (
          <option key={id} value={id}>
            {label}
          </option>
        ))}
      </select>
    </label>
  );
}

export function MuteButton({ className }: PartProps) {
  const interview = useInterview();
  const messages = useMessages();
  const { muted } = useDevices();
  return (
    <button
      type="button"
      className={className}
      data-part="mute"
      aria-pressed={muted}
      onClick={() => interview.setMuted(!muted)}
    >
      {messages.mute}
    </button>
  );
}

/** What a candidate may ask by a press, while somebody is there to hear it. */
export function RequestBar({ className }: PartProps) {
  const interview = useInterview();
  const messages = useMessages();
  const status = useStatus();
  const isLive = status.name === 'live';
  const requests =
    isLive && status.turn === 'paused'
      ? (['repeat', 'slower', 'goOn'] as const)
      : (['repeat', 'slower', 'moment'] as const);
  // Not `disabled`: that would take the focus from a button when the connection is lost.
  return (
    <div className={className} data-part="requests">
      {requests.map((what, at) => (
        <button
          // biome-ignore lint/suspicious/noArrayIndexKey: when the third button changes its meaning, it must keep the focus
          key={at}
          type="button"
          aria-disabled={!isLive}
          onClick={() => isLive && interview.request(what === 'goOn' ? 'go_on' : what)}
        >
          {messages[what]}
        </button>
      ))}
    </div>
  );
}

/** Answers by typing. */
export function TypedAnswer({ className, startsOpen = false }: PartProps & { startsOpen?: boolean }) {
  const interview = useInterview();
  const messages = useMessages();
  const [text, setText] = useState('');
  const [open, setOpen] = useState(startsOpen);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (open) field.current?.focus();
  }, [open]);
  const send = (event: FormEvent) => {
    event.preventDefault();
    interview.say(text);
    setText('');
  };
  return (
    <div className={className} data-part="typed-answer">
      {open && (
        <form onSubmit={send}>
          <textarea
            ref={field}
            rows={2}
            aria-label={messages.typeLabel}
            placeholder={messages.typeLabel}
            value={text}
            maxLength={4_000}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
          <button type="submit" data-primary="">
            {messages.send}
          </button>
        </form>
      )}
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        {messages.type}
      </button>
    </div>
  );
}

/** How much time is gone, in words; a clock only for those who ask for one. */
export function TimeLeft({ className, mode = 'words' }: PartProps & { mode?: 'words' | 'clock' | 'off' }) {
  const messages = useMessages();
  const { startedAt, endsAt } = useClock();
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), mode === 'clock' ? 1_000 : 10_000);
    return () => clearInterval(timer);
  }, [mode]);
  if (mode === 'off' || startedAt === null || endsAt === null) return null;
  const leftS = Math.max(0, Math.round((endsAt - now) / 1_000));
  const clock = `${Math.floor(leftS / 60)}:${String(leftS % 60).padStart(2, '0')}`;
  return (
    <span className={className} data-part="time-left">
      {mode === 'clock' ? messages.timeLeft(clock) : messages.timeGone((now - startedAt) / (endsAt - startedAt))}
    </span>
  );
}

/** Ends the interview, after a question that names the effect. Focus returns to the button. */
export function EndButton({ className }: PartProps) {
  const interview = useInterview();
  const messages = useMessages();
  const dialog = useRef<HTMLDialogElement>(null);
  const isEnding = useStatus().name === 'ending';
  return (
    <>
      <button
        type="button"
        className={className}
        data-part="end"
        aria-disabled={isEnding}
        onClick={() => isEnding || dialog.current?.showModal()}
      >
        {messages.end}
      </button>
      <dialog ref={dialog} aria-labelledby="end-title" data-part="end-dialog">
        <h2 id="end-title">{messages.endTitle}</h2>
        <p>{messages.endText}</p>
        <form method="dialog">
          <button type="submit">{messages.endNo}</button>
          <button type="submit" data-danger="" onClick={() => void interview.end()}>
            {messages.endYes}
          </button>
        </form>
      </dialog>
    </>
  );
}

export function SavedBadge({ className }: PartProps) {
  const messages = useMessages();
  const { state, savedUpTo } = useSaving();
  const time = savedUpTo === null ? null : timeOf(savedUpTo);
  const saved = time === null ? '' : messages.savedUpTo(time);
  return (
    <span className={className} data-part="saved" data-state={state}>
      {state === 'behind' ? messages.behind : state === 'saving' && time === null ? messages.saving : saved}
    </span>
  );
}

/** The problem that matters now, and the one button that helps. Present always, so that its text is read out when it comes. */
export function ProblemNotice({ className }: PartProps) {
  const interview = useInterview();
  const messages = useMessages();
  const status = useStatus();
  const open = useProblem();
  // That it is too early is said where the start time is said.
  const problem = open === 'too_early' && status.name === 'waiting' ? null : open;
  const act = problem && messages.acts[problem];
  return (
    <div
      id="problem"
      className={className}
      data-part="problem"
      data-act={problem ? actOf[problem] : undefined}
      role="alert"
      hidden={problem === null}
    >
      <p>{problem && messages.problems[problem]}</p>
      {act && (
        <button type="button" onClick={() => interview.retry()}>
          {act}
        </button>
      )}
    </div>
  );
}

interface LineProps {
  line: TranscriptLine;
  /** Drawn below the text of a line that is final. */
  Note: ComponentType<{ line: TranscriptLine }> | undefined;
}

/** Drawn again only when the line itself has changed: an hour has hundreds of them. */
const Line = memo(function Line({ line, Note }: LineProps) {
  const messages = useMessages();
  const isReadable = line.final && line.speaker === 'ai';
  return (
    <li
      className={`${line.speaker}${line.final ? '' : ' partial'}`}
      data-speaker={line.speaker}
      aria-live={isReadable ? undefined : 'off'}
    >
      <b>{line.speaker === 'ai' ? messages.interviewer : messages.you}</b>
      {line.text}
      {Note && line.final && <Note line={line} />}
    </li>
  );
});

/** A block of lines is drawn, styled and laid out as a whole. A block out of sight is skipped when a line is added. */
const linesPerBlock = 20;

interface BlockProps extends Pick<LineProps, 'Note'> {
  lines: readonly TranscriptLine[];
}
const isSameBlock = (a: BlockProps, b: BlockProps): boolean =>
  a.Note === b.Note && a.lines.length === b.lines.length && a.lines.every((line, at) => line === b.lines[at]);

const Block = memo(
  ({ lines, Note }: BlockProps) => (
    <ol>
      {lines.map((line) => (
        // A final line is a new element: screen readers announce additions more reliably than changed text.
        <Line key={`${line.ordinal}/${line.item_id}/${line.final}`} line={line} Note={Note} />
      ))}
    </ol>
  ),
  isSameBlock,
);

export interface TranscriptPanelProps extends PartProps {
  /**
   * True: a screen reader announces each finished line of the interviewer. What the candidate says is never announced.
   * Default: false, because the candidate hears the interviewer's voice at the same time.
   */
  readAloud?: boolean;
  /** False: it begins at the first line and stays where the reader is. Default: true, it keeps the newest line in sight. */
  follow?: boolean;
  /** What stands below each line; keep the same component. */
  Note?: LineProps['Note'];
}

/** The conversation. It stops following its newest line while the candidate has scrolled up. */
export function TranscriptPanel({ className, readAloud = false, follow = true, Note }: TranscriptPanelProps) {
  const messages = useMessages();
  const lines = useTranscript();
  const panel = useRef<HTMLDivElement>(null);
  const follows = useRef(follow);
  const list = useRef<HTMLDivElement>(null);
  // Its newest line stays in sight when the list grows, and when a notice above the panel makes the panel smaller.
  useEffect(() => {
    const { current } = panel;
    if (!current || !list.current || typeof ResizeObserver === 'undefined') return;
    const observer = new ResizeObserver(() => {
      if (follows.current) current.scrollTop = current.scrollHeight;
    });
    observer.observe(current);
    observer.observe(list.current);
    return () => observer.disconnect();
  }, []);
  const onScroll = () => {
    const { current } = panel;
    if (current && follow) follows.current = current.scrollHeight - current.scrollTop - current.clientHeight < 48;
  };
  return (
    <div
      ref={panel}
      className={className}
      data-part="transcript"
      role="log"
      aria-live={readAloud ? 'polite' : 'off'}
      aria-label={messages.conversation}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
      tabIndex={0}
      onScroll={onScroll}
    >
      <div id="transcript" ref={list}>
        {Array.from({ length: Math.ceil(lines.length / linesPerBlock) }, (_, block) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a block never moves
          <Block key={block} lines={lines.slice(block * linesPerBlock, (block + 1) * linesPerBlock)} Note={Note} />
        ))}
      </div>
    </div>
  );
}
