import type { StoredTranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';

/** A transcript as people read it. Entries come in the conversation's order. */
const names = { ai: 'Interviewer', candidate: 'Candidate' } as const;

const simulation = 'Simulation: the voice came from a local stand-in, not from an AI provider.';

/** `Interviewer: …`, a paragraph per entry. */
export const asText = (entries: readonly StoredTranscriptEntry[], simulated = false): string =>
  [
    ...(simulated ? [`[${simulation}]\n`] : []),
    ...entries.map((entry) => `${names[entry.speaker]}: ${entry.text}\n`),
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
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/\s*\n\s*/g, ' ');

/**
 * WebVTT with a cue per entry. Times are those of the entry's call, and calls follow each other: each begins where the
 * one before it ended. An entry without times stands where the one before it ended, for a moment.
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
    const from = entry.start_ms === null ? endMs : offsetMs + entry.start_ms;
    const to = Math.max(from + 1, entry.end_ms === null ? from + 1 : offsetMs + entry.end_ms);
    endMs = Math.max(endMs, to);
    return `${entry.sequence_number}\n${vttTime(from)} --> ${vttTime(to)}\n<v ${names[entry.speaker]}>${escapeVtt(entry.text)}`;
  });
  return `${['WEBVTT', ...(simulated ? [`NOTE ${simulation}`] : []), ...cues].join('\n\n')}\n`;
}
