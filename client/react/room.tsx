import { type FormEvent, type ReactNode, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { InterviewError, type ProblemCode } from '../src/problems.ts';
import type { Ended, Interview, InterviewOptions, Invitation, Status } from '../src/types.ts';
import { CameraCheck, RecordingState, useEarlierRecordings, useRecording, VideoRecorder } from './camera.tsx';
import { Correction } from './corrections.tsx';
import { en } from './en.ts';
import { useKeptFocus } from './focus.ts';
import {
  InterviewContext,
  MessagesContext,
  useDevices,
  useInterview,
  useMessages,
  useOwnInterview,
  useProblem,
  useSaving,
  useStatus,
  useTranscript,
  useWithdrawn,
} from './hooks.ts';
import type { Messages } from './messages.ts';
import {
  DeviceMenu,
  EndButton,
  MicrophoneMeter,
  MuteButton,
  ProblemNotice,
  RequestBar,
  SavedBadge,
  TimeLeft,
  TranscriptPanel,
  TypedAnswer,
} from './parts.tsx';
import { Rehearsal, SpeakerTest } from './sound-check.tsx';
import { startOf } from './times.ts';

/** The whole room: every screen, from the link to the last page. */
export interface InterviewProviderProps {
  interview: Interview;
  /** Default: English. */
  messages?: Messages;
  children?: ReactNode;
}

export function InterviewProvider({ interview, messages = en, children }: InterviewProviderProps) {
  return (
    <MessagesContext.Provider value={messages}>
      <InterviewContext.Provider value={interview}>{children}</InterviewContext.Provider>
    </MessagesContext.Provider>
  );
}

export interface InterviewRoomProps extends InterviewOptions {
  /** Default: English. */
  messages?: Messages;
  onEnded?(ended: Ended): void;
  /** After the end: everything that can be done for the transcript is done. */
  onDelivered?(left: number): void;
}

export function InterviewRoom({ messages = en, onEnded, onDelivered, ...options }: InterviewRoomProps) {
  const interview = useOwnInterview(options);
  useEffect(() => {
    if (!interview) return;
    const stops = [
      interview.on('ended', (ended) => onEnded?.(ended)),
      interview.on('delivered', ({ left }) => onDelivered?.(left)),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  }, [interview, onEnded, onDelivered]);
  if (!interview) return null;
  return (
    <InterviewProvider interview={interview} messages={messages}>
      <InterviewScreens />
    </InterviewProvider>
  );
}

/** The heading of a screen; undefined: the position. */
function headingOf(screen: Screen, status: Status, withdrawn: boolean, messages: Messages): string | undefined {
  if (screen === 'consent') return messages.consentTitle;
  if (screen !== 'end') return undefined;
  if (withdrawn) return messages.withdrawn;
  return status.name === 'ended' ? endHeadingOf(status.reason, messages) : undefined;
}

/** The heading of the last page; undefined: this browser knows of no interview that is over. */
function endHeadingOf(reason: string, messages: Messages): string | undefined {
  switch (reason) {
    case 'consent_declined':
      return messages.declined;
    case 'opened_elsewhere':
      return messages.movedOn;
    case 'token_refused':
    case 'unknown_session':
      return undefined;
    default:
      return messages.ended;
  }
}

/** The title of the page: what a candidate sees of it behind other tabs. */
function titleOf(status: Status, messages: Messages, position: string): string {
  const { statusWords } = messages;
  switch (status.name) {
    case 'idle':
    case 'joining':
      return position;
    case 'waiting':
    case 'connecting':
      return `${statusWords.connecting} · ${position}`;
    case 'live':
    case 'ending':
      return `● ${position}`;
    case 'reconnecting':
      return `${statusWords.disconnected} · ${position}`;
    case 'ended':
      return [endHeadingOf(status.reason, messages), position].filter(Boolean).join(' · ');
  }
}

/** What the polite status region says: screens and troubles, never whose turn it is. */
function statusText(status: Status, messages: Messages): string {
  switch (status.name) {
    case 'idle':
      return messages.ready;
    case 'waiting':
      return status.for === 'machine' ? messages.waitingMachine : messages.connecting;
    case 'joining':
    case 'connecting':
      return messages.connecting;
    case 'live':
      return messages.running;
    case 'reconnecting':
      return messages.reconnecting;
    case 'ending':
      return messages.ending;
    case 'ended':
      return messages.ends[status.reason] ?? messages.ends.other;
  }
}

type Screen = 'looking' | 'consent' | 'elsewhere' | 'lobby' | 'interview' | 'end';

function screenOf(status: Status, invitation: Invitation | null, isConsentGiven: boolean): Screen {
  if (status.name === 'ended') return 'end';
  if (!invitation) return 'looking';
  if (status.name !== 'idle' && status.name !== 'joining') return status.name === 'waiting' ? 'lobby' : 'interview';
  if (invitation.bound === 'elsewhere') return 'elsewhere';
  return invitation.consent && !isConsentGiven ? 'consent' : 'lobby';
}

/**
 * Every screen of the room, for an interview that somebody else owns.
 * @param looking the result of a `look()` that was called before the first drawing
 */
export function InterviewScreens({ looking }: { looking?: Promise<Invitation> }) {
  const interview = useInterview();
  const messages = useMessages();
  const status = useStatus();
  const [invitation, setInvitation] = useState<Invitation | null>(null);
  const [isConsentGiven, setConsentGiven] = useState(false);
  const [failed, setFailed] = useState(false);
  const main = useRef<HTMLElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  useKeptFocus(main, heading);
  useEarlierRecordings();

  const look = (found = interview.look()) =>
    found.then(
      (seen) => {
        setInvitation(seen);
        if (seen.consent?.isGiven) setConsentGiven(true);
      },
      (error: unknown) => setFailed(!(error instanceof InterviewError)),
    );
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each interview
  useEffect(() => void look(looking), [interview]);
  useLookWhenDue(invitation, status.name === 'idle', look);

  const screen = screenOf(status, invitation, isConsentGiven);
  const position = invitation?.position ?? messages.untitled;
  useEffect(() => {
    document.title = titleOf(status, messages, position);
    document.documentElement.lang = messages.lang;
  }, [status, messages, position]);
  const { muted } = useDevices();
  const isWithdrawn = useWithdrawn();
  // Withdrawn in another browser: no page of an interview that is kept.
  const withdrawn = isWithdrawn || (status.name === 'ended' && status.reason === 'consent_withdrawn');
  const shown = withdrawn && screen === 'end' ? 'withdrawn' : screen;
  const before = useRef<string>(shown);
  // With the screen and not after it: a control that somebody has reached by then keeps the focus.
  useLayoutEffect(() => {
    // Also when no control had it: the new screen is read from its beginning.
    if (before.current !== shown && before.current !== 'looking') heading.current?.focus();
    before.current = shown;
  }, [shown]);

  const [warning, setWarning] = useState('');
  // Words, no countdown.
  useEffect(
    () =>
      interview.on('warning', ({ endsAt }) =>
        setWarning(messages.timeWarning(Math.round((endsAt - Date.now()) / 60_000))),
      ),
    [interview, messages],
  );

  const problem = useProblem();
  const isLong = useIsLong(status);
  const line = failed
    ? ''
    : (waitingLine(screen, status, invitation, messages, isLong) ??
      screenLine(screen, status, messages, problem, muted));
  return (
    <main ref={main} data-part="room" data-screen={screen}>
      <header>
        <p className="brand">Greenroom</p>
        <h1 ref={heading} tabIndex={-1}>
          {headingOf(screen, status, withdrawn, messages) ?? position}
        </h1>
        {screen === 'interview' && <SavedBadge />}
      </header>
      {invitation?.simulated && screen === 'lobby' && <p className="notice">{messages.simulated}</p>}
      <p id="status" role="status">
        {line}
        {screen === 'interview' && warning && ` ${warning}`}
      </p>
      <ProblemNotice />
      {failed && (
        <p className="problem" role="alert">
          {messages.failure}
        </p>
      )}
      {screen === 'consent' && invitation && <Consent invitation={invitation} onGiven={() => setConsentGiven(true)} />}
      {screen === 'elsewhere' && <Elsewhere onHere={() => look()} />}
      {screen === 'lobby' && invitation && <Lobby invitation={invitation} />}
      {screen === 'interview' && (
        <Conversation
          invitation={invitation}
          withdrawing={isConsentGiven && invitation ? <Withdraw invitation={invitation} /> : null}
        />
      )}
      {shown === 'end' && (
        <End
          invitation={invitation}
          withdrawing={isConsentGiven && invitation ? <Withdraw invitation={invitation} /> : null}
        />
      )}
      {shown === 'withdrawn' && (
        <section data-part="end">
          {invitation?.consent && (
            <p>{messages.withdrawnText(invitation.organiser, invitation.consent.onWithdrawal)}</p>
          )}
          <p>{messages.closing}</p>
        </section>
      )}
    </main>
  );
}

const soonestLookMs = 2_000;
const latestLookMs = 600_000;

/** Looks again when the interview is due, so that the page of a candidate who came early opens by itself. */
function useLookWhenDue(invitation: Invitation | null, isIdle: boolean, look: () => void): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: each answer is a new invitation
  useEffect(() => {
    if (!isIdle || !invitation?.startsAt || invitation.joinable) return;
    const leftMs = invitation.startsAt - Date.now();
    const timer = setTimeout(look, Math.min(latestLookMs, Math.max(soonestLookMs, leftMs)));
    return () => clearTimeout(timer);
  }, [invitation, isIdle]);
}

/** Three times as long as a machine usually takes. */
const longMs = 15_000;

/** Whether it has been waited for a machine for longer than usual. */
function useIsLong(status: Status): boolean {
  const [isLong, setIsLong] = useState(false);
  const since = status.name === 'waiting' || status.name === 'connecting' ? status.since : null;
  useEffect(() => {
    setIsLong(false);
    if (since === null) return;
    const timer = setTimeout(() => setIsLong(true), Math.max(0, since + longMs - Date.now()));
    return () => clearTimeout(timer);
  }, [since]);
  return isLong;
}

/** What is waited for, in words; undefined: nothing. */
function waitingLine(
  screen: Screen,
  status: Status,
  invitation: Invitation | null,
  messages: Messages,
  isLong: boolean,
): string | undefined {
  const isWaiting = status.name === 'waiting' && status.for === 'start_time';
  const isEarly = screen === 'lobby' && status.name === 'idle' && invitation?.joinable === false;
  if ((isWaiting || isEarly) && invitation?.startsAt) {
    const at = startOf(invitation.startsAt, messages.lang);
    return isWaiting ? messages.waitingStart(at) : messages.opensAt(at);
  }
  const isStarting = (status.name === 'waiting' && status.for === 'machine') || status.name === 'connecting';
  return isStarting && isLong ? messages.waitingLong : undefined;
}

/** While these last, nobody hears the candidate. */
const muting: ReadonlySet<ProblemCode | null> = new Set<ProblemCode>([
  'not_heard',
  'microphone_lost',
  'microphone_muted',
]);
/** While these last, the candidate cannot just speak freely. */
const silencing: ReadonlySet<ProblemCode | null> = new Set([...muting, 'voice_missing']);

/** What the notice of the problem says is not said twice. */
function screenLine(
  screen: Screen,
  status: Status,
  messages: Messages,
  problem: ProblemCode | null,
  muted: boolean,
): string {
  if (status.name === 'reconnecting' && problem) return messages.connecting;
  if (status.name === 'live' && (muted || status.turn === 'paused' || silencing.has(problem))) return '';
  if (screen === 'looking') return problem ? '' : messages.looking;
  if (screen === 'consent') return messages.consentIntro;
  if (screen === 'elsewhere') return '';
  return statusText(status, messages);
}

function Consent({ invitation, onGiven }: { invitation: Invitation; onGiven(): void }) {
  const interview = useInterview();
  const messages = useMessages();
  const dialog = useRef<HTMLDialogElement>(null);
  const { consent, organiser } = invitation;
  if (!consent) return null;
  // Why something was not possible is shown already.
  const agree = () => interview.consent(consent.textVersion).then(onGiven, () => undefined);
  const decline = () => void interview.decline().catch(() => undefined);
  return (
    <section data-part="consent">
      <p className="terms">{consent.text ?? messages.consentElsewhere(organiser, consent.textVersion)}</p>
      <div className="actions">
        <button type="button" data-primary="" onClick={agree}>
          {messages.agree}
        </button>
        <button type="button" onClick={() => dialog.current?.showModal()}>
          {messages.disagree}
        </button>
      </div>
      <dialog ref={dialog} aria-labelledby="decline-title" data-part="decline-dialog">
        <h2 id="decline-title">{messages.declineTitle}</h2>
        <p>{messages.declineText(organiser)}</p>
        <form method="dialog">
          <button type="submit">{messages.declineNo}</button>
          <button type="submit" data-danger="" onClick={decline}>
            {messages.declineYes}
          </button>
        </form>
      </dialog>
      <button type="button" data-primary="" disabled>
        {messages.start}
      </button>
    </section>
  );
}

/** A button that asks first. What is erased is said before and after. */
function Withdraw({ invitation: { organiser, consent } }: { invitation: Invitation }) {
  const interview = useInterview();
  const messages = useMessages();
  const dialog = useRef<HTMLDialogElement>(null);
  const [failed, setFailed] = useState(false);
  if (!consent) return null;
  const withdraw = () =>
    interview.withdraw().then(
      (done) => setFailed(!done),
      () => setFailed(true),
    );
  return (
    <div data-part="withdraw">
      <button type="button" aria-haspopup="dialog" onClick={() => dialog.current?.showModal()}>
        {messages.withdraw}
      </button>
      <p role="alert">{failed && messages.withdrawFailed}</p>
      <dialog ref={dialog} aria-labelledby="withdraw-title" data-part="withdraw-dialog">
        <h2 id="withdraw-title">{messages.withdrawTitle}</h2>
        <p>{messages.withdrawText(organiser, consent.onWithdrawal)}</p>
        <form method="dialog">
          <button type="submit">{messages.withdrawNo}</button>
          <button type="submit" data-danger="" onClick={withdraw}>
            {messages.withdrawYes}
          </button>
        </form>
      </dialog>
    </div>
  );
}

function Elsewhere({ onHere }: { onHere(): void }) {
  const interview = useInterview();
  const messages = useMessages();
  const [code, setCode] = useState('');
  const [wrong, setWrong] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const isHere = await interview.continueHere(code.replaceAll(/\D/g, ''));
    setWrong(!isHere);
    if (isHere) onHere();
  };
  return (
    <form data-part="elsewhere" onSubmit={submit}>
      <label>
        {messages.handOverLabel}
        <input
          inputMode="numeric"
          autoComplete="one-time-code"
          maxLength={7}
          value={code}
          aria-invalid={wrong}
          aria-describedby="hand-over-wrong"
          onInput={({ currentTarget }) => setCode(currentTarget.value)}
        />
      </label>
      <p id="hand-over-wrong" role="alert">
        {wrong ? messages.handOverWrong : ''}
      </p>
      <button type="submit" data-primary="">
        {messages.continueHere}
      </button>
    </form>
  );
}

/** What was agreed for this candidate. */
function Adjustments({ of: { extraMinutes, slower, typing } }: { of: Invitation['adjustments'] }) {
  const messages = useMessages();
  const lines = [
    extraMinutes > 0 && messages.extraTime(extraMinutes),
    slower && messages.speaksSlowly,
    typing && messages.answersByTyping,
  ].filter((line) => line !== false);
  return lines.length === 0 ? null : (
    <p data-part="adjustments" className="notice">
      {lines.join(' ')}
    </p>
  );
}

function Lobby({ invitation }: { invitation: Invitation }) {
  const interview = useInterview();
  const messages = useMessages();
  const status = useStatus();
  const [checks, setChecks] = useState(false);
  const checked = useRef<HTMLDivElement>(null);
  // The button that opened the check is gone.
  useEffect(() => {
    if (checks) checked.current?.focus();
  }, [checks]);
  // Why something was not possible is shown already.
  const check = () =>
    interview.checkMicrophone().then(
      () => setChecks(true),
      () => undefined,
    );
  // Not `disabled`: that would take the focus from the button that was just pressed.
  const isStarted = status.name !== 'idle';
  const start = () => {
    if (!isStarted) interview.join().catch(() => undefined);
  };
  return (
    <section data-part="lobby">
      <p>
        {messages.greeting(invitation.candidate)} {messages.about(invitation.organiser, invitation.minutes)}
      </p>
      <Adjustments of={invitation.adjustments} />
      <p>
        {messages.recorded} {messages.stoppable}
      </p>
      {checks && (
        // biome-ignore lint/a11y/useSemanticElements: a fieldset is for a form
        <div ref={checked} data-part="check" role="group" aria-label={messages.checkMicrophone} tabIndex={-1}>
          <span aria-hidden="true">{messages.microphoneLevel}</span>
          <MicrophoneMeter />
          <DeviceMenu />
          <SpeakerTest />
          <Rehearsal />
        </div>
      )}
      {invitation.recordsVideo && <CameraCheck />}
      <div className="actions">
        <button type="button" data-primary="" aria-disabled={isStarted} onClick={start}>
          {messages.start}
        </button>
        {!checks && (
          <button type="button" onClick={check}>
            {messages.checkMicrophone}
          </button>
        )}
      </div>
    </section>
  );
}

interface WithInvitation {
  invitation: Invitation | null;
  /** Where the candidate can withdraw consent. */
  withdrawing: ReactNode;
}

function Conversation({ invitation, withdrawing }: WithInvitation) {
  const messages = useMessages();
  const status = useStatus();
  const { muted } = useDevices();
  const turn = status.name === 'live' ? status.turn : 'none';
  const problem = useProblem();
  const isUnheard = (muted || muting.has(problem)) && (turn === 'listening' || turn === 'hearing');
  const [readsAloud, setReadsAloud] = useState(false);
  return (
    <div data-part="conversation">
      <section data-part="stage" data-turn={isUnheard ? 'none' : turn}>
        <div className="circle" aria-hidden="true" />
        <p className="turn">{isUnheard ? muted && messages.muted : turn !== 'none' && messages.turns[turn]}</p>
        <MicrophoneMeter />
        {invitation?.recordsVideo && <VideoRecorder autoStart />}
      </section>
      <TranscriptPanel readAloud={readsAloud} />
      <div data-part="bar">
        <RequestBar />
        <div data-part="controls">
          <MuteButton />
          <TypedAnswer startsOpen={invitation?.adjustments.typing ?? false} />
          <More readsAloud={readsAloud} onReadAloud={setReadsAloud}>
            {withdrawing}
          </More>
          <EndButton />
        </div>
      </div>
    </div>
  );
}

interface MoreProps {
  readsAloud: boolean;
  onReadAloud(readsAloud: boolean): void;
  children: ReactNode;
}

/** What is seldom needed: the clock, captions read aloud, devices, another device. */
function More({ readsAloud, onReadAloud, children }: MoreProps) {
  const messages = useMessages();
  const dialog = useRef<HTMLDialogElement>(null);
  const [showsClock, setShowsClock] = useState(false);
  return (
    <>
      <button type="button" data-part="more" aria-haspopup="dialog" onClick={() => dialog.current?.showModal()}>
        {messages.more}
      </button>
      <dialog ref={dialog} aria-labelledby="more-title" data-part="more-dialog">
        <h2 id="more-title">{messages.more}</h2>
        <p>
          <TimeLeft mode={showsClock ? 'clock' : 'words'} />
        </p>
        <label className="switch">
          <input type="checkbox" checked={showsClock} onChange={() => setShowsClock(!showsClock)} />
          {messages.showClock}
        </label>
        <label className="switch" data-part="read-aloud">
          <input type="checkbox" checked={readsAloud} onChange={() => onReadAloud(!readsAloud)} />
          {messages.readAloud}
        </label>
        <DeviceMenu />
        <HandOver />
        {children}
        <form method="dialog">
          <button type="submit">{messages.close}</button>
        </form>
      </dialog>
    </>
  );
}

function HandOver() {
  const interview = useInterview();
  const messages = useMessages();
  const [code, setCode] = useState('');
  const ask = () =>
    interview.handover().then(
      (made) => setCode(`${made.code.slice(0, 3)} ${made.code.slice(3)}`),
      () => undefined,
    );
  const shown = useRef<HTMLParagraphElement>(null);
  // The button that showed the code is gone.
  useEffect(() => {
    if (code) shown.current?.focus();
  }, [code]);
  if (code)
    return (
      <p ref={shown} className="notice" tabIndex={-1}>
        {messages.handOverCode(code)}
      </p>
    );
  return (
    <button type="button" data-part="hand-over" onClick={ask}>
      {messages.handOver}
    </button>
  );
}

function End({ invitation, withdrawing }: WithInvitation) {
  const interview = useInterview();
  const messages = useMessages();
  const status = useStatus();
  const { pending } = useSaving();
  const lines = useTranscript();
  const goesOn = status.name === 'ended' && status.reason === 'opened_elsewhere';
  const isCompleted = status.name === 'ended' && status.outcome === 'completed';
  const recordsVideo = invitation?.recordsVideo ?? false;
  const mustWait = goesOn || pending > 0;
  // A page that was reloaded knows only what was said since.
  useEffect(() => {
    if (!mustWait) interview.readTranscript().catch(() => undefined);
  }, [interview, mustWait]);
  const answers = lines.filter(({ speaker, final }) => speaker === 'candidate' && final).length;
  const text = lines
    .map((line) => `${line.speaker === 'ai' ? messages.interviewer : messages.you}: ${line.text}`)
    .join('\n\n');
  return (
    <section data-part="end">
      {lines.length > 0 && (
        <>
          <p>{pending > 0 ? messages.onDevice(pending) : messages.allStored(answers)}</p>
          {isCompleted && invitation && <p>{messages.nextStep(invitation.organiser)}</p>}
          <p>
            <a href={`data:text/plain;charset=utf-8,${encodeURIComponent(text)}`} download="interview.txt">
              {messages.download}
            </a>
          </p>
        </>
      )}
      {recordsVideo && <RecordingState />}
      {recordsVideo ? <ClosingWithRecording /> : <Closing />}
      {withdrawing}
      {lines.length > 0 && !goesOn && (
        <>
          {answers > 0 && <p>{messages.correctAbout}</p>}
          <TranscriptPanel follow={false} Note={Correction} />
        </>
      )}
    </section>
  );
}

/** That the page can be closed, unless something is still on this device. */
function Closing() {
  const messages = useMessages();
  const { pending } = useSaving();
  return pending > 0 ? null : <p>{messages.closing}</p>;
}

function ClosingWithRecording() {
  const { snapshot } = useRecording();
  return snapshot.state === 'uploading' ? null : <Closing />;
}
