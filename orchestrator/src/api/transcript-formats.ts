import { inOneLine } from '@greenroom/shared/protocol/one-line.ts';
import type { StoredTranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';

/**
 * Formats a transcript for people. The entries must be in the order of the conversation.
 *
 * Each entry is one line, so that no text can look like the next speaker's turn. An entry that only the
 * candidate's browser reported begins with a mark, and a note at the beginning explains the mark. A correction by the
 * candidate stands behind the words that it corrects.
 */
const names = { ai: 'Interviewer', candidate: 'Candidate' } as const;
const mark = '[unverified]';
const correctionOf = ({ correction }: StoredTranscriptEntry): string =>
  correction === null ? '' : ` [corrected by the candidate: ${inOneLine(correction)}]`;
const wordsOf = (entry: StoredTranscriptEntry): string =>
  `${entry.verified ? '' : `${mark} `}${inOneLine(entry.text)}${correctionOf(entry)}`;

const simulation = 'Simulation: the voice came from a local stand-in, not from an AI provider.';
const unverified =
  "Entries that begin with [unverified] were reported by the candidate's browser alone and may never have been said.";

const notesOf = (entries: readonly StoredTranscriptEntry[], simulated: boolean): string[] => [
  ...(simulated ? [simulation] : []),
  ...(entries.every(({ verified }) => verified) ? [] : [unverified]),
];

/** Plain text: one paragraph of one line (`Interviewer: …`) per entry. */
export const asText = (entries: readonly StoredTranscriptEntry[], simulated = false): string =>
  [
    ...notesOf(entries, simulated).map((note) => `[${note}]\n`),
    ...entries.map((entry) => `${names[entry.speaker]}: ${wordsOf(entry)}\n`),
  ].join('\n');

const two = (n: number): string => String(n).padStart(2, '0');

/** `01:02:03.004` */
export function vttTime(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  const seconds = Math.floor(whole / 1_000);
  const clock = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, seconds % 60].map(two).join(':');
  return `${clock}.${String(whole % 1_000).padStart(3, '0')}`;
}

const escapeVtt = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/**
 * When an entry was spoken, ms since its call began. The times of unverified entries are ignored, because
 * forged times could move all later cues.
 */
const timesOf = ({ verified, start_ms, end_ms }: StoredTranscriptEntry) =>
  verified ? { start_ms, end_ms } : { start_ms: null, end_ms: null };

/**
 * WebVTT with one cue per entry. Calls are placed one after the other: each begins where the last cue of the
 * earlier one ended. An entry without times gets a cue of one millisecond at the end of the earlier one.
 */
export function asVtt(entries: readonly StoredTranscriptEntry[], simulated = false): string {
  let offsetMs = 0;
  let endMs = 0;
  let ordinal = entries[0]?.ordinal;
  const cues = entries.map((entry) => {
    if (entry.ordinal !== ordinal) {
      ordinal = entry.ordinal;
      offsetMs = endMs;
    }
    const { start_ms, end_ms } = timesOf(entry);
    const from = start_ms === null ? endMs : offsetMs + start_ms;
    const to = Math.max(from + 1, end_ms === null ? from + 1 : offsetMs + end_ms);
    endMs = Math.max(endMs, to);
    return `${entry.sequence_number}\n${vttTime(from)} --> ${vttTime(to)}\n<v ${names[entry.speaker]}>${escapeVtt(wordsOf(entry))}`;
  });
  return `${['WEBVTT', ...notesOf(entries, simulated).map((note) => `NOTE ${note}`), ...cues].join('\n\n')}\n`;
}
