import { inOneLine } from '@greenroom/shared/protocol/one-line.ts';
import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Store, StoredLine } from '../outside/store.ts';

/**
 * What was stored before this machine took the session over: read once, at the start, and never waited for long.
 * A session on its first machine has nothing stored, so nothing is read for it.
 */
export interface Recap {
  /** The ids that need not be sent again: those stored before, as far as they could be read, and `mine`. */
  storedIds(mine: string[]): Promise<string[]>;
  /** For the interviewer of a new call: what was said so far; undefined when nothing was. */
  text(): Promise<string | undefined>;
  /** Whether the candidate said anything before, or that is not known. */
  readonly mayHaveCandidate: boolean;
}

export interface RecapDeps {
  clock: Clock;
  log: Logger;
  read: Store['transcript'];
  /** Whether another machine served the session before. */
  resumed: boolean;
  said(): TranscriptEntry[];
}

const waitMs = 1_500;
const retryMs = 1_000;
const maxRecap = 12_000;
const tries = 60;

export function createRecap({ clock, log, read, resumed, said }: RecapDeps): Recap {
  let before: StoredLine[] = [];
  let isKnown = !resumed;
  const load = async () => {
    for (let attempt = 0; attempt < tries; attempt += 1) {
      const result = await read();
      if (result.kind === 'ok') {
        before = result.value;
        isKnown = true;
        return;
      }
      if (result.kind !== 'unavailable') return;
      log.warn({ error: result.error, attempt }, 'what was stored before cannot be read yet');
      await clock.sleep(retryMs);
    }
  };
  const loaded = resumed ? load() : undefined;
  const settled = async () => {
    if (loaded) await Promise.race([loaded, clock.sleep(waitMs)]);
  };

  return {
    get mayHaveCandidate() {
      return !isKnown || before.some(({ speaker, text }) => speaker === 'candidate' && text !== '');
    },
    storedIds: async (mine) => {
      await settled();
      return [...new Set([...before.map((line) => line.item_id), ...mine])];
    },
    text: async () => {
      await settled();
      const known = new Set(before.map((line) => `${line.ordinal}/${line.item_id}`));
      const mine = said().filter((entry) => !known.has(`${entry.ordinal}/${entry.item_id}`));
      const lines = [...before, ...mine].filter(isTold).map(lineOf);
      if (lines.length === 0) return undefined;
      return `The connection was interrupted. This was said so far; do not repeat it, go on from there:\n${newest(lines)}`;
    },
  };
}

type Line = Pick<StoredLine, 'speaker' | 'text' | 'verified'>;

/**
 * The recap is an instruction to the interviewer, so the browser's own copies must not put words into its mouth: what only the
 * browser reports of the interviewer is left out, and what it reports of the candidate is marked.
 */
const isTold = ({ speaker, text, verified }: Line): boolean => text.trim() !== '' && (verified || speaker !== 'ai');

/** One entry is one line: no text can look like the next speaker's turn. */
const lineOf = ({ speaker, text, verified }: Line): string =>
  `${speaker === 'ai' ? 'Interviewer' : verified ? 'Candidate' : 'Candidate (unconfirmed)'}: ${inOneLine(text)
    .slice(0, maxRecap / 4)
    .toWellFormed()}`;

/** The last lines that fit. Whole lines only: the rest of a cut line would begin without its speaker. */
function newest(lines: string[]): string {
  let room = maxRecap;
  const first = lines.findLastIndex((line) => {
    room -= line.length + 1;
    return room < 0;
  });
  return lines.slice(first + 1).join('\n');
}
