import { type ReactNode, useEffect, useRef } from 'react';
import type { Ended, Interview, Status, TranscriptLine } from '../src/types.ts';
import { en } from './en.ts';
import { useInterview, useMessages, useOwnInterview, useStatus, useTranscript } from './hooks.ts';
import type { InterviewStatusWord, Messages } from './messages.ts';
import { EndButton, MicrophoneMeter, MuteButton, ProblemNotice, RequestBar, TranscriptPanel } from './parts.tsx';
import { InterviewProvider } from './room.tsx';

/**
 * Components for a platform that brings its own session and token: `POST /api/sessions` answers `websocket_url` and
 * `join_token`. They show the interview alone; consent and the link's screens are `InterviewRoom`'s.
 */

export function statusWordOf(status: Status): InterviewStatusWord {
  switch (status.name) {
    case 'idle':
    case 'joining':
      return 'initializing';
    case 'waiting':
    case 'connecting':
      return 'connecting';
    case 'live':
    case 'ending':
      return 'connected';
    case 'reconnecting':
      return 'disconnected';
    case 'ended':
      if (status.outcome === 'completed') return 'completed';
      return status.outcome === 'failed' ? 'error' : 'disconnected';
  }
}

/** An entry of the conversation. `timestamp`: when it was first shown, ISO 8601. */
export interface TranscriptUpdate {
  speaker: 'ai' | 'candidate';
  text: string;
  timestamp: string;
}

/** Calls with the whole conversation, each time an entry of it is complete. */
function useTranscriptUpdates(onTranscriptUpdate?: (entries: TranscriptUpdate[]) => void): void {
  const lines = useTranscript();
  const shownAt = useRef(new Map<string, string>());
  const told = useRef('');
  useEffect(() => {
    const finals = lines.filter(({ final }) => final);
    const version = JSON.stringify(finals.map(({ item_id, text }) => [item_id, text]));
    if (!onTranscriptUpdate || finals.length === 0 || version === told.current) return;
    told.current = version;
    const timeOf = ({ ordinal, item_id }: TranscriptLine) => {
      const key = `${ordinal}/${item_id}`;
      const time = shownAt.current.get(key) ?? new Date().toISOString();
      shownAt.current.set(key, time);
      return time;
    };
    onTranscriptUpdate(finals.map((line) => ({ speaker: line.speaker, text: line.text, timestamp: timeOf(line) })));
  }, [lines, onTranscriptUpdate]);
}

export interface WebRTCInterfaceProps {
  className?: string;
  onTranscriptUpdate?(entries: TranscriptUpdate[]): void;
  onStatusChange?(status: InterviewStatusWord): void;
}

/** The conversation of the interview around it: stage, transcript, controls. The SDK owns the one peer connection. */
export function WebRTCInterface({ className, onTranscriptUpdate, onStatusChange }: WebRTCInterfaceProps) {
  const messages = useMessages();
  const status = useStatus();
  const word = statusWordOf(status);
  useTranscriptUpdates(onTranscriptUpdate);
  useEffect(() => onStatusChange?.(word), [word, onStatusChange]);
  return (
    <section className={className} data-part="webrtc" data-state={word}>
      <p role="status">{status.name === 'live' ? messages.turns[status.turn] : messages.statusWords[word]}</p>
      <ProblemNotice />
      <MicrophoneMeter />
      <TranscriptPanel />
      <RequestBar />
      <MuteButton />
      <EndButton />
    </section>
  );
}

export interface WebRTCManagerState {
  status: InterviewStatusWord;
  transcript: readonly TranscriptLine[];
  interview: Interview;
}

/** The same without markup: its child is a function of the state. */
export function WebRTCManager({ children }: { children(state: WebRTCManagerState): ReactNode }) {
  const interview = useInterview();
  const status = statusWordOf(useStatus());
  const transcript = useTranscript();
  return children({ status, transcript, interview });
}

export interface InterviewSessionProps extends WebRTCInterfaceProps {
  sessionId: string;
  websocketUrl: string;
  joinToken: string;
  position?: { title: string; description?: string };
  candidate?: { name: string; email?: string };
  messages?: Messages;
  /** Shown beside the conversation, such as a `VideoRecorder` of the platform's own. */
  children?: ReactNode;
  onEnded?(ended: Ended): void;
}

/** A whole interview: joins when it is mounted, leaves (and ends nothing) when it is unmounted. */
export function InterviewSession(props: InterviewSessionProps) {
  const { sessionId, websocketUrl, joinToken, messages = en, onEnded, position, candidate, children, ...rest } = props;
  const interview = useOwnInterview({ link: { websocketUrl, joinToken } });
  useEffect(() => {
    if (!interview) return;
    const stop = onEnded && interview.on('ended', onEnded);
    return () => stop?.();
  }, [interview, onEnded]);
  useEffect(() => {
    // Why it was not possible is in the snapshot, and shown.
    interview?.join().catch(() => undefined);
  }, [interview]);
  if (!interview) return null;
  return (
    <InterviewProvider interview={interview} messages={messages}>
      <article data-part="session" data-session={sessionId}>
        {position && (
          <header>
            <h1>{position.title}</h1>
            {position.description && <p>{position.description}</p>}
          </header>
        )}
        {candidate && <p data-part="candidate">{[candidate.name, candidate.email].filter(Boolean).join(' · ')}</p>}
        {children}
        <WebRTCInterface {...rest} />
      </article>
    </InterviewProvider>
  );
}

export interface InterviewRecorderState {
  /** The candidate and the interviewer hear each other. */
  isConnected: boolean;
  /** What is said is being written down. */
  isRecording: boolean;
  /** The conversation as one text, one line an entry. */
  transcript: string;
  connect(): Promise<void>;
  stop(): Promise<Ended>;
}

/** Connects, records and stops by call: for a page with controls of its own. */
export function useInterviewRecorder(): InterviewRecorderState {
  const interview = useInterview();
  const messages = useMessages();
  const status = useStatus();
  const lines = useTranscript();
  const isConnected = status.name === 'live' || status.name === 'ending';
  return {
    isConnected,
    isRecording: status.name === 'live' && status.turn !== 'paused',
    transcript: lines
      .map(({ speaker, text }) => `${speaker === 'ai' ? messages.interviewer : messages.you}: ${text}`)
      .join('\n'),
    connect: () => interview.join(),
    stop: () => interview.end(),
  };
}

export function InterviewRecorder({ className }: { className?: string }) {
  const messages = useMessages();
  const { isConnected, isRecording, transcript, connect } = useInterviewRecorder();
  const state = isRecording ? 'recording' : isConnected ? 'connected' : 'idle';
  return (
    <section className={className} data-part="recorder" data-state={state}>
      <ProblemNotice />
      {isConnected ? (
        <EndButton />
      ) : (
        <button type="button" data-primary="" onClick={() => void connect().catch(() => undefined)}>
          {messages.start}
        </button>
      )}
      <pre>{transcript}</pre>
    </section>
  );
}
