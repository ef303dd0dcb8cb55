import { inOneLine } from '@greenroom/shared/protocol/one-line.ts';
import type { TranscriptEntry } from '@greenroom/shared/protocol/transcript.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Store, StoredLine } from '../outside/store.ts';

/**
 * What was stored before this machine took over the session: read once at the start, and waited for only
 * briefly. On the first machine of a session nothing is stored, so nothing is read.
 */
export interface Recap {
  /**
   * The ids that the browser need not send again: those stored before, as far as they could be read, and
   * `mine`.
   */
  storedIds(mine: string[]): Promise<string[]>;
  /** What was said so far, for the interviewer of a new call; undefined when nothing was. */
  text(): Promise<string | undefined>;
  /** Whether the candidate said anything before; also true while that is unknown. */
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
      log.warn({ error: result.error, attempt }, 'the stored transcript could not be read; will retry');
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
 * The recap is an instruction to the interviewer, so the browser must not be able to change what the
 * interviewer said: its unverified copies of the interviewer are left out, and those of the candidate are
 * marked.
 */
const isTold = ({ speaker, text, verified }: Line): boolean => text.trim() !== '' && (verified || speaker !== 'ai');

/** One entry becomes one line, so that no text can look like the next speaker's turn. */
const lineOf = ({ speaker, text, verified }: Line): string =>
  `${speaker === 'ai' ? 'Interviewer' : verified ? 'Candidate' : 'Candidate (unconfirmed)'}: ${inOneLine(text)
    .slice(0, maxRecap / 4)
    .toWellFormed()}`;

/** The last lines that fit. Whole lines only: a cut line would begin without its speaker. */
function newest(lines: string[]): string {
  let room = maxRecap;
  const first = lines.findLastIndex((line) => {
    room -= line.length + 1;
    return room < 0;
  });
  return lines.slice(first + 1).join('\n');
}
