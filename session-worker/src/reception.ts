import type { ClientMessage } from '@greenroom/shared/protocol/socket.ts';
import { problemCodes } from '@greenroom/shared/protocol/socket-values.ts';
import type { ClaimResponse, WorkerCounts } from '@greenroom/shared/protocol/worker-api.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { Conversation } from './conversation.ts';
import type { Ending } from './ending.ts';
import type { SessionDeadlines } from './lifecycle/deadlines.ts';
import type { Asked } from './realtime/requests.ts';
import type { SessionRecord } from './record.ts';
import type { Connection } from './room/connection.ts';
import type { RoomDeps } from './room/room.ts';
import type { Video } from './room/video.ts';

/** Greets the candidate's browser and handles each of its messages. */
export interface Reception {
  welcome: RoomDeps['onInit'];
  hear: RoomDeps['onMessage'];
  /** What the browser reported about its connection. */
  readonly counts: Pick<WorkerCounts, 'candidate_network_reports' | 'candidate_problems'>;
}

export interface ReceptionDeps {
  log: Logger;
  claim: ClaimResponse;
  conversation: Conversation;
  record: Pick<SessionRecord, 'transcript' | 'writer' | 'recap' | 'media' | 'recordingStarted'>;
  timers: Pick<SessionDeadlines, 'endsAt'>;
  video: Video;
  ending: Pick<Ending, 'isDecided' | 'conclude'>;
}

type Message = Parameters<RoomDeps['onMessage']>[0];
type MessageOf<T extends Message['type']> = Extract<ClientMessage, { type: T }>;
type Handlers = { [T in Message['type']]: (message: MessageOf<T>, connection: Connection) => void };

export function createReception({ log, claim, conversation, record, timers, video, ending }: ReceptionDeps): Reception {
  const { session } = claim;
  const { calls, requests } = conversation;

  const networkReports: NonNullable<WorkerCounts['candidate_network_reports']> = {};
  const problems: NonNullable<WorkerCounts['candidate_problems']> = {};

  const takeCopies = (entries: MessageOf<'transcript_update'>['entries'], connection: Connection) => {
    const wrong = record.transcript.copies(entries);
    if (wrong.length > 0)
      return connection.error('invalid_message', `Wrong: ${wrong.map((f) => f.field).join(', ')}.`, wrong);
    // A browser has events of a call only when its data channel is up.
    for (const { ordinal } of entries) record.media.answered(ordinal);
  };
  const answer = (asked: Asked, connection: Connection) => {
    if (asked === 'too_often') connection.error('rate_limited', 'Requests and typed answers are sent too often.');
    if (asked === 'not_now')
      connection.error('not_initialized', 'The interviewer cannot be reached at the moment. Try again.');
  };
  const handlers: Handlers = {
    transcript_update: ({ entries }, connection) => takeCopies(entries, connection),
    call_connected: ({ ordinal }) => conversation.connected(ordinal),
    voice_blocked: ({ ordinal }) => conversation.blocked(ordinal),
    sdp_offer: ({ sdp, ordinal }, connection) => void conversation.offer(sdp, ordinal, connection),
    candidate_request: ({ what }, connection) => answer(requests.ask(what), connection),
    typed_answer: ({ id, text }, connection) => answer(requests.type(id, text), connection),
    client_stats: ({ quality, problem, rtt_ms, loss_percent }) => {
      log.info({ quality, problem, rtt_ms, loss_percent }, 'how the candidate is connected');
      networkReports[quality] = (networkReports[quality] ?? 0) + 1;
      if (problem === null) return;
      const counted = problemCodes.find((code) => code === problem) ?? 'other';
      problems[counted] = (problems[counted] ?? 0) + 1;
    },
    // Without it the recording is kept too; only jumping in it is impossible.
    recording_started: ({ video_id }) => void record.recordingStarted(video_id),
    end_session: ({ final_transcript, recording_url }, connection) => {
      if (final_transcript?.length) takeCopies(final_transcript, connection);
      // Reviewers would see a URL that the browser chose as if it came from us.
      if (recording_url !== undefined) connection.error('recording_url_refused');
      ending.conclude('ended_by_candidate');
    },
  };

  return {
    counts: { candidate_network_reports: networkReports, candidate_problems: problems },
    welcome: async (connection, fresh) => {
      connection.send({
        type: 'session_ready',
        v: 1,
        session_id: session.id,
        epoch: session.epoch,
        reconnect_token: claim.reconnect_token,
        transcript_token: claim.transcript_token,
        transcript_url: claim.transcript_url,
        ice_servers: claim.ice_servers,
        acked: await record.recap.storedIds(record.writer.storedIds()),
        ordinal: calls.ordinal,
        // A call being opened counts too: its answer is on the way.
        call_active: calls.active || calls.opening,
        simulated: session.simulated,
        ends_at: timers.endsAt,
      });
      video.joined(fresh, connection.send);
      conversation.resume(connection);
    },
    hear: (message, connection) => {
      // Transcript copies are accepted until the room is closed; everything else only until the ending is
      // decided.
      if (ending.isDecided && message.type !== 'transcript_update')
        return connection.error('call_not_allowed', 'The session is ending.');
      (handlers[message.type] as (message: Message, connection: Connection) => void)(message, connection);
    },
  };
}
