import type { FieldError } from '@greenroom/shared/errors/app-error.ts';
import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { Speaker, TranscriptEntry, TranscriptEntryInput } from '@greenroom/shared/protocol/transcript.ts';
import type { SpokenLog } from '../realtime/voice.ts';
import { entryKey, type Writer } from './writer.ts';

/**
 * One log from two sources: the sideband (trusted) and the candidate's own copies.
 *
 * S1  The sideband's text wins. A copy of an item the sideband has not told of is stored as unverified.
 * S2  A copy is acknowledged when the item is stored, whoever's text it was.
 * S3  What an item is settled with (nothing, or the beginning of a reply whose end was not heard) does not overwrite what
 *     the browser sent for that item, unless that says something else.
 * S5  What the interviewer says in a call counts only once the candidate can have heard it: until then it is shown, and neither
 *     stored nor told to the next call as said.
 * S4  Items that only the browser knows are bounded in number and in length: no conversation of three hours has `maxCopies`
 *     or `maxCopiedLength`, and what a page makes up must not fill the database, nor make the transcript too long to be
 *     put in order, nor use up this process's memory.
 */
export interface Transcript {
  /** A call begins (or is taken over): its events and copies are accepted from now on. */
  open(ordinal: number, log?: SpokenLog): void;
  /** The candidate can have heard this call (S5): what was said in it so far is stored. */
  heard(ordinal: number): void;
  /** Entries of the provider's that are new or have changed. */
  store(entries: TranscriptEntry[]): void;
  /** An entry still being spoken or transcribed. */
  show(partial: TranscriptEntry): void;
  /** @returns what is wrong with the copies, by field; nothing of a wrong message is stored. */
  copies(entries: TranscriptEntryInput[]): FieldError[];
  /** Items of a speaker (default: of both) whose text is still to come. */
  awaited(speaker?: Speaker): number;
  /** Gives up waiting for texts of this call, or of all. */
  settle(ordinal?: number): void;
  /** What was said so far, oldest first, as far as this worker knows. */
  said(): TranscriptEntry[];
  /** Whether the candidate has said or typed anything, or the browser says so. */
  readonly hasCandidate: boolean;
}

export interface TranscriptDeps {
  writer: Writer;
  /** Whether the candidate can have heard this call (S5). */
  isHeard(ordinal: number): boolean;
  send(message: ServerMessage): void;
}

const maxCopies = 3_000;
/** Characters. */
const maxCopiedLength = 2_000_000;

export function createTranscript({ writer, isHeard, send }: TranscriptDeps): Transcript {
  /** The calls of the session; of one that another machine served, nothing is known but what the browser copies. */
  const calls = new Map<number, SpokenLog | undefined>();
  /** The browser's text of items that the sideband had not told of when it came. */
  const copied = new Map<string, string>();
  let copiedLength = 0;
  let hasCandidate = false;

  /** S5. */
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

  /** @returns the item id when it is stored already (S2). */
  const takeCopy = (copy: TranscriptEntryInput): string | undefined => {
    const key = entryKey(copy.ordinal, copy.item_id);
    const known = calls.get(copy.ordinal)?.knows(copy.item_id) ?? false;
    const before = copied.get(key);
    if (writer.isStored(copy.ordinal, copy.item_id) && (known || before !== undefined)) return copy.item_id;
    const growth = copy.text.length - (before?.length ?? 0);
    const isBeyond = (before === undefined && copied.size >= maxCopies) || copiedLength + growth > maxCopiedLength; // S4
    // Known and not stored yet: on its way, the acknowledgement will come.
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
