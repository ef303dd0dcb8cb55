export type { CandidateRequest } from '@greenroom/shared/protocol/socket-values.ts';
export type { EntryStore } from './entry-store.ts';
export {
  createInterview,
  type Interview,
  type InterviewEvents,
  type InterviewOptions,
  joinInterview,
} from './interview.ts';
export type { CallPeer, PeerFactory } from './peer.ts';
export { type Act, actOf, InterviewError, type ProblemCode, problemCodes } from './problems.ts';
export type {
  Device,
  Devices,
  Ended,
  Invitation,
  Network,
  Saving,
  Snapshot,
  Status,
  TranscriptLine,
  Turn,
} from './types.ts';
