import type { ServerMessage } from '@greenroom/shared/protocol/socket.ts';
import type { ClaimResponse } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import { createFlags, type Flags } from './integrity/flags.ts';
import { createReports, type Reports } from './lifecycle/reports.ts';
import type { Http } from './outside/http.ts';
import { createStore } from './outside/store.ts';
import type { Tracing } from './outside/tracing.ts';
import { createMedia, type Media } from './realtime/media.ts';
import { tracedStore } from './traced.ts';
import { createRecap, type Recap } from './transcript/recap.ts';
import { createTranscript, type Transcript } from './transcript/transcript.ts';
import { createWriter, type Writer } from './transcript/writer.ts';

/** What is stored of a session, and how it reaches the database: transcript, integrity flags, reports. */
export interface SessionRecord {
  transcript: Transcript;
  writer: Writer;
  flags: Flags;
  reports: Reports;
  /** What was stored before this machine took over the session. */
  recap: Recap;
  /** In which calls the candidate could hear the interviewer. */
  media: Media;
  /** Whether the candidate said anything in this session; also true while that is unknown. */
  readonly mayHaveCandidate: boolean;
  /** Stores that a recording begins now. Tried once: the interview does not depend on it. */
  recordingStarted(videoId: string): Promise<void>;
  /** Writes nothing more from now on. */
  stop(): void;
}

export interface RecordDeps {
  clock: Clock;
  log: Logger;
  http: Http;
  claim: ClaimResponse;
  accessToken(): string;
  /** Sends to the candidate's browser, if it is connected. */
  send(message: ServerMessage): void;
  onFenced(): void;
  /** No media flowed in time. */
  onNoMedia(): void;
  tracing: Tracing;
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
  tracing,
}: RecordDeps): SessionRecord {
  const { session, supabase, deadlines } = claim;
  const resumed = session.epoch > 1;
  const direct = createStore({
    ...{ http, accessToken },
    url: supabase.url,
    publishableKey: supabase.publishable_key,
    requestMs: deadlines.databaseRequestMs,
  });
  const store = tracedStore(direct, tracing);
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
    recordingStarted: async (videoId) => {
      const stored = await store.recordingStarted(videoId);
      if (stored.kind !== 'ok') log.warn({ kind: stored.kind }, 'could not store when a recording began');
    },
    stop: () => {
      writer.stop();
      reports.stop();
      flags.stop();
    },
  };
}
