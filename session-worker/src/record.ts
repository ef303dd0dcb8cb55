import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { createFlags, type Flags } from './integrity/flags.ts';
import { createReports, type Reports } from './lifecycle/reports.ts';
import type { Http } from './outside/http.ts';
import { createStore } from './outside/store.ts';
import { createMedia, type Media } from './realtime/media.ts';
import { createRecap, type Recap } from './transcript/recap.ts';
import { createTranscript, type Transcript } from './transcript/transcript.ts';
import { createWriter, type Writer } from './transcript/writer.ts';

/** What is kept of a session, and how it reaches the database: transcript, integrity flags, reports. */
export interface SessionRecord {
  transcript: Transcript;
  writer: Writer;
  flags: Flags;
  reports: Reports;
  /** What was stored before this machine took the session over. */
  recap: Recap;
  /** Which calls the candidate can have heard. */
  media: Media;
  /** Whether the candidate said anything in this session; true while that is not known. */
  readonly mayHaveCandidate: boolean;
  /** Loads what the first request to the database needs. */
  warm(): void;
  /** Nothing is written from now on. */
  stop(): void;
}

export interface RecordDeps {
  clock: Clock;
  log: Logger;
  http: Http;
  claim: ClaimResponse;
  accessToken(): string;
  /** To the candidate, when there. */
  send(message: ServerMessage): void;
  onFenced(): void;
  /** No media flowed in time. */
  onNoMedia(): void;
}

export function createRecord({
  clock,
  log,
  http,
  claim,
  accessToken,
  send,
  onFenced,
  onNoMedia,
}: RecordDeps): SessionRecord {
  const { session, supabase, deadlines } = claim;
  const resumed = session.epoch > 1;
  const store = createStore({
    ...{ http, accessToken },
    url: supabase.url,
    publishableKey: supabase.publishable_key,
    requestMs: deadlines.databaseRequestMs,
  });
  const reports = createReports({ clock, log, report: store.report, onFenced });
  const flags = createFlags({ clock, log, flag: store.flag, onFenced });
  const writer = createWriter({
    ...{ clock, log, append: store.append, onFenced },
    onStored: (entries) => send({ type: 'transcript_ack', item_ids: entries.map((entry) => entry.item_id) }),
  });
  const media = createMedia({
    ...{ clock, noMediaMs: deadlines.noMediaMs },
    resumed: resumed && session.started_at !== null,
    onHeard: (ordinal) => transcript.heard(ordinal),
    onNone: onNoMedia,
  });
  const transcript = createTranscript({ writer, isHeard: media.isHeard, send });
  const recap = createRecap({ clock, log, read: store.transcript, resumed, said: transcript.said });
  return {
    ...{ transcript, writer, flags, reports, recap, media },
    get mayHaveCandidate() {
      return transcript.hasCandidate || recap.mayHaveCandidate;
    },
    warm: store.warm,
    stop: () => {
      writer.stop();
      reports.stop();
      flags.stop();
    },
  };
}
