import type { FieldError } from '@greenroom/shared/errors/app-error.ts';
import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { Speaker, TranscriptEntry, TranscriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';
import type { SpokenLog } from '../realtime/voice.ts';
import { entryKey, type Writer } from './writer.ts';

/**
 * Merges two sources into one log: the sideband (trusted) and the browser's copies.
 *
 * - The sideband's text wins. A copy of an item that the sideband has not reported is stored as unverified.
 * - A copy is acknowledged when its item is stored, whichever text was stored.
 * - An item that is settled without its whole text (empty, or a reply that was cut off) does not overwrite
 *   the browser's copy, unless the copy begins differently.
 * - What the interviewer says in a call counts only once the candidate could hear it. Until then it is shown,
 *   but neither stored nor repeated to the next call.
 * - Copies of items that only the browser knows are limited to `maxCopies` and `maxCopiedLength`, more than a
 *   conversation of three hours has. A page that invents items must not fill the database, make the
 *   transcript too long to sort, or exhaust this process's memory.
 */
export interface Transcript {
  /** A call begins or is taken over: its events and copies are accepted from now on. */
  open(ordinal: number, log?: SpokenLog): void;
  /** The candidate can hear this call from now on: what was said in it so far is stored. */
  heard(ordinal: number): void;
  /** Stores the provider's entries that are new or have changed. */
  store(entries: TranscriptEntry[]): void;
  /** Shows an entry that is still being spoken or transcribed. */
  show(partial: TranscriptEntry): void;
  /** @returns what is wrong with the copies, by field. If anything is wrong, none of them is stored. */
  copies(entries: TranscriptEntryInput[]): FieldError[];
  /** Number of items whose text is still to come. Default: of both speakers. */
  awaited(speaker?: Speaker): number;
  /** Stops waiting for texts of this call. Default: of all calls. */
  settle(ordinal?: number): void;
  /** What was said so far, as far as this worker knows, call by call. */
  said(): TranscriptEntry[];
  /** Whether the candidate said or typed anything, according to the provider or the browser. */
  readonly hasCandidate: boolean;
}

export interface TranscriptDeps {
  writer: Writer;
  /** Whether the candidate could hear this call. */
  isHeard(ordinal: number): boolean;
  send(message: ServerMessage): void;
}

const maxCopies = 3_000;
/** Characters. */
const maxCopiedLength = 2_000_000;

export function createTranscript({ writer, isHeard, send }: TranscriptDeps): Transcript {
  /** The calls of the session. Of a call that another machine served only the browser's copies are known. */
  const calls = new Map<number, SpokenLog | undefined>();
  /** The browser's text of items that the sideband had not reported yet. */
  const copied = new Map<string, string>();
  let copiedLength = 0;
  let hasCandidate = false;

  /** The candidate's entries, and the interviewer's in calls that the candidate could hear. */
  const counts = ({ speaker, ordinal }: TranscriptEntry) => speaker === 'candidate' || isHeard(ordinal);
  const store = (entries: TranscriptEntry[]) => {
    for (const entry of entries) {
      if (counts(entry)) writer.add(entry);
      if (entry.text !== '') send({ type: 'transcript_entry', entry, final: true });
    }
  };
  const checkOrdinals = (entries: TranscriptEntryInput[]): FieldError[] =>
    entries.flatMap((entry, index) =>
      calls.has(entry.ordinal) ? [] : [{ field: `entries.${index}.ordinal`, message: 'no such call in this session' }],
    );

  /** @returns the item id when the item is already stored. */
  const takeCopy = (copy: TranscriptEntryInput): string | undefined => {
    const key = entryKey(copy.ordinal, copy.item_id);
    const known = calls.get(copy.ordinal)?.knows(copy.item_id) ?? false;
    const before = copied.get(key);
    if (writer.isStored(copy.ordinal, copy.item_id) && (known || before !== undefined)) return copy.item_id;
    const growth = copy.text.length - (before?.length ?? 0);
    const isBeyond = (before === undefined && copied.size >= maxCopies) || copiedLength + growth > maxCopiedLength;
    // Known but not stored yet: it is being written, and its acknowledgement follows.
    if (known || isBeyond || !writer.add(unverified(copy))) return undefined;
    copied.set(key, copy.text);
    if (copy.speaker === 'candidate' && copy.text !== '') hasCandidate = true;
    copiedLength += growth;
    return undefined;
  };

  const said = () =>
    [...calls.values()].flatMap((log) => log?.entries() ?? []).filter((entry) => entry.text !== '' && counts(entry));

  return {
    open: (ordinal, log) => void calls.set(ordinal, log ?? calls.get(ordinal)),
    heard: (ordinal) => {
      for (const entry of calls.get(ordinal)?.entries() ?? []) writer.add(entry);
    },
    store,
    show: (entry) => send({ type: 'transcript_entry', entry, final: false }),
    copies: (entries) => {
      const wrong = checkOrdinals(entries);
      if (wrong.length > 0) return wrong;
      const acked = entries.map(takeCopy).filter((id) => id !== undefined);
      if (acked.length > 0) send({ type: 'transcript_ack', item_ids: acked });
      return [];
    },
    awaited: (speaker) => [...calls.values()].reduce((sum, log) => sum + (log?.awaited(speaker) ?? 0), 0),
    settle: (ordinal) => {
      for (const [n, log] of calls) {
        if (!log || (ordinal !== undefined && n !== ordinal)) continue;
        store(log.settle().filter((entry) => !copied.get(entryKey(n, entry.item_id))?.startsWith(entry.text)));
      }
    },
    said,
    get hasCandidate() {
      return hasCandidate || said().some(({ speaker }) => speaker === 'candidate');
    },
  };
}

const unverified = ({ previous_item_id, start_ms, end_ms, ...copy }: TranscriptEntryInput): TranscriptEntry => ({
  ...copy,
  previous_item_id: previous_item_id ?? null,
  start_ms: start_ms ?? null,
  end_ms: end_ms ?? null,
  confidence: null,
  interrupted: false,
  verified: false,
});
