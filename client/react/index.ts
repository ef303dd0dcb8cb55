export {
  CameraCheck,
  CameraPicture,
  RecordingState,
  type RecordingUpdate,
  useRecording,
  VideoRecorder,
  type VideoRecorderProps,
} from './camera.tsx';
export { de } from './de.ts';
export { en } from './en.ts';
export {
  useClock,
  useDevices,
  useInterview,
  useMessages,
  useNetwork,
  useProblem,
  useSaving,
  useStatus,
  useTranscript,
} from './hooks.ts';
export type { InterviewStatusWord, Messages, RecorderStatus } from './messages.ts';
export {
  DeviceMenu,
  EndButton,
  MicrophoneMeter,
  MuteButton,
  type PartProps,
  ProblemNotice,
  RequestBar,
  SavedBadge,
  TimeLeft,
  TranscriptPanel,
  TypedAnswer,
} from './parts.tsx';
export {
  InterviewRecorder,
  type InterviewRecorderState,
  InterviewSession,
  type InterviewSessionProps,
  type TranscriptUpdate,
  useInterviewRecorder,
  WebRTCInterface,
  type WebRTCInterfaceProps,
  WebRTCManager,
  type WebRTCManagerState,
} from './platform.tsx';
export { placeOf, RecordingPlayer, type RecordingPlayerProps } from './player.tsx';
export { InterviewReview, type InterviewReviewProps } from './review.tsx';
export { type ReviewMessages, reviewDe, reviewEn } from './review-messages.ts';
export type { ReviewEntry, ReviewEvaluation, ReviewRecording, ReviewResult, ReviewTranscript } from './review-types.ts';
export { InterviewProvider, type InterviewProviderProps, InterviewRoom, type InterviewRoomProps } from './room.tsx';
export { Rehearsal, SpeakerTest } from './sound-check.tsx';
