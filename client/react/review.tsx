import { type ReactNode, useId, useRef, useState } from 'react';
import { placeOf, RecordingPlayer } from './player.tsx';
import { type ReviewMessages, reviewEn } from './review-messages.ts';
import type { ReviewEntry, ReviewEvaluation, ReviewRecording, ReviewResult, ReviewTranscript } from './review-types.ts';

/** Everything that is known of an interview after its end, for the platform's own page. It asks nobody: its data are props. */
export interface InterviewReviewProps {
  className?: string;
  transcript: ReviewTranscript;
  /** Null: there is no result. */
  result: ReviewResult | null;
  recordings?: readonly ReviewRecording[];
  /** See `RecordingPlayer`. */
  watchUrl?(videoId: string): Promise<string | null>;
  /** Default: English. */
  messages?: ReviewMessages;
  /** Language of the interview, BCP 47. Default: unknown. */
  language?: string;
}

interface Jump {
  videoId: string;
  seconds: number;
}

export function InterviewReview(props: InterviewReviewProps) {
  const { className, transcript, result, recordings = [], watchUrl, messages = reviewEn, language } = props;
  const id = useId();
  const root = useRef<HTMLElement>(null);
  const [jump, setJump] = useState<Jump | null>(null);
  const shown = recordings.find((one) => one.video_id === jump?.videoId) ?? recordings[0];
  const idOf = (sequence: number) => `${id}-entry-${sequence}`;
  const goTo = (sequence: number) => {
    const entry = document.getElementById(idOf(sequence));
    entry?.focus({ preventScroll: true });
    entry?.scrollIntoView({ block: 'center' });
  };
  const play = (entry: ReviewEntry) => {
    const place = placeOf(entry, recordings);
    if (!place) return;
    setJump({ videoId: place.recording.video_id, seconds: place.seconds });
    root.current?.querySelector('[data-part="recording"]')?.scrollIntoView({ block: 'nearest' });
  };

  return (
    <article ref={root} className={className} data-part="review" lang={messages.lang}>
      {transcript.simulated && <p data-part="review-note">{messages.simulated}</p>}
      <div data-part="review-findings">
        <Evaluation {...{ result, messages, idOf, goTo }} entries={transcript.entries} />
        {result && <Integrity result={result} messages={messages} />}
      </div>
      <div data-part="review-record">
        <section data-part="recording">
          <h2>{messages.recording}</h2>
          {!shown && <p>{messages.noRecording}</p>}
          {shown && recordings.length > 1 && (
            <p>{messages.recordingNumber(recordings.indexOf(shown) + 1, recordings.length)}</p>
          )}
          {shown && (
            <RecordingPlayer
              recording={shown}
              from={jump?.videoId === shown.video_id ? jump : null}
              messages={messages}
              {...(watchUrl ? { watchUrl } : {})}
            />
          )}
        </section>
        <section data-part="review-transcript">
          <h2>{messages.transcript}</h2>
          {transcript.entries.length === 0 && <p>{messages.noTranscript}</p>}
          <ol>
            {transcript.entries.map((entry) => (
              <li
                key={entry.sequence_number}
                id={idOf(entry.sequence_number)}
                tabIndex={-1}
                data-speaker={entry.speaker}
                data-verified={entry.verified}
              >
                <Entry
                  {...{ entry, messages, language }}
                  seconds={placeOf(entry, recordings)?.seconds}
                  onPlay={() => play(entry)}
                />
              </li>
            ))}
          </ol>
        </section>
      </div>
    </article>
  );
}

const clockOf = (seconds: number): string =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;

interface EntryProps {
  entry: ReviewEntry;
  messages: ReviewMessages;
  language: string | undefined;
  seconds: number | undefined;
  onPlay(): void;
}

function Entry({ entry, messages, language, seconds, onPlay }: EntryProps) {
  return (
    <>
      <p data-part="entry-head">
        <b>{entry.speaker === 'ai' ? messages.interviewer : messages.candidate}</b>
        {seconds !== undefined && (
          <button type="button" data-part="play-from" onClick={onPlay}>
            {messages.playFrom(clockOf(seconds))}
          </button>
        )}
      </p>
      <p lang={language}>{entry.text}</p>
      {!entry.verified && <p data-part="mark">{messages.unverified}</p>}
      {entry.interrupted && <p data-part="mark">{messages.interrupted}</p>}
      {entry.correction && (
        <p data-part="mark">
          {messages.corrected} <q lang={language}>{entry.correction}</q>
        </p>
      )}
    </>
  );
}

interface EvaluationProps {
  result: ReviewResult | null;
  entries: readonly ReviewEntry[];
  messages: ReviewMessages;
  idOf(sequence: number): string;
  goTo(sequence: number): void;
}

function Evaluation({ result, entries, messages, idOf, goTo }: EvaluationProps) {
  const note = result ? messages.statuses[result.status] : messages.noEvaluation;
  const isOutdated = result?.evaluation && result.wanted_revision > result.transcript_revision;
  return (
    <section data-part="evaluation">
      <h2>{messages.evaluation}</h2>
      {note && !result?.evaluation && <p>{note}</p>}
      {isOutdated && <p data-part="review-note">{messages.outdated}</p>}
      {result?.evaluation && (
        <p data-part={result.human_reviewed ? 'reviewed' : 'review-note'}>
          {result.human_reviewed ? messages.reviewedBy(result.reviewed_by) : messages.notReviewed}
        </p>
      )}
      {result?.summary && <p>{result.summary}</p>}
      {result?.evaluation && <Details evaluation={result.evaluation} {...{ entries, messages, idOf, goTo }} />}
    </section>
  );
}

type DetailsProps = Omit<EvaluationProps, 'result'> & { evaluation: ReviewEvaluation };

function Details({ evaluation, entries, messages, idOf, goTo }: DetailsProps) {
  return (
    <>
      <h3>{messages.recommendation}</h3>
      <p>
        <b>{messages.recommendations[evaluation.recommendation]}</b>
        <br />
        {messages.support(Math.round(evaluation.confidence * 100))}
      </p>
      <p>{evaluation.overall_impression}</p>
      <Points title={messages.strengths} points={evaluation.strengths} />
      <Points title={messages.areas} points={evaluation.areas_to_improve} />
      {evaluation.question_notes.length > 0 && <h3>{messages.questions}</h3>}
      {evaluation.question_notes.map(({ question, notes, sequence_numbers }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the same question may come twice, and the order is fixed
        <section key={index} data-part="question">
          <h4>{question}</h4>
          <p>{notes}</p>
          {sequence_numbers.length > 0 && (
            <ul aria-label={messages.quotes}>
              {sequence_numbers.map((sequence) => (
                <li key={sequence}>
                  <Quote entry={entries.find((one) => one.sequence_number === sequence)} {...{ sequence, messages }}>
                    {(text) => (
                      <a
                        href={`#${idOf(sequence)}`}
                        onClick={(event) => {
                          // The platform's own router must not take this for a page.
                          event.preventDefault();
                          goTo(sequence);
                        }}
                      >
                        {text}
                      </a>
                    )}
                  </Quote>
                </li>
              ))}
            </ul>
          )}
        </section>
      ))}
    </>
  );
}

const quoteLength = 140;

interface QuoteProps {
  entry: ReviewEntry | undefined;
  sequence: number;
  messages: ReviewMessages;
  children(text: string): ReactNode;
}

/** The entry's own words, or its number alone if the transcript shown does not contain it. */
function Quote({ entry, sequence, messages, children }: QuoteProps) {
  if (!entry) return messages.quote(sequence);
  const text = entry.text.length > quoteLength ? `${entry.text.slice(0, quoteLength)} …` : entry.text;
  return children(`${messages.quote(sequence)}: “${text}”`);
}

function Points({ title, points }: { title: string; points: readonly string[] }) {
  if (points.length === 0) return null;
  return (
    <>
      <h3>{title}</h3>
      <ul>
        {points.map((point) => (
          <li key={point}>{point}</li>
        ))}
      </ul>
    </>
  );
}

function Integrity({ result, messages }: { result: ReviewResult; messages: ReviewMessages }) {
  const { integrity_flags, unverified_entries } = result;
  const sentences = [
    ...(unverified_entries > 0 ? [messages.unverifiedCount(unverified_entries)] : []),
    ...integrity_flags.map(({ kind, count }) => (messages.flags[kind] ?? messages.flags.other)(count)),
  ];
  return (
    <section data-part="integrity" data-state={sentences.length > 0 ? 'flagged' : 'fine'}>
      <h2>{messages.integrity}</h2>
      {sentences.length === 0 ? (
        <p>{messages.integrityFine}</p>
      ) : (
        <ul>
          {sentences.map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ul>
      )}
    </section>
  );
}
