import type { ProblemCode } from '../src/problems.ts';
import type { RecordingProblem } from '../src/recording-types.ts';
import type { Turn, WithdrawalEffect } from '../src/types.ts';

/** What an interview is doing, in one word. */
export type InterviewStatusWord = 'initializing' | 'connecting' | 'connected' | 'disconnected' | 'completed' | 'error';

/** What the camera's recording is doing, in one word. */
export type RecorderStatus = 'initializing' | 'ready' | 'recording' | 'completed' | 'error';

/**
 * Every text of the room. A message file must have them all: a missing one is a type error. Texts are chosen by code; what
 * a server or a browser says is never shown.
 */
export interface Messages {
  lang: string;
  /** The heading until the position is known. */
  untitled: string;
  looking: string;
  greeting(name: string): string;
  about(organiser: string, minutes: number): string;
  /** Extra time that was agreed; it is part of the time in `about`. */
  extraTime(minutes: number): string;
  speaksSlowly: string;
  answersByTyping: string;
  recorded: string;
  stoppable: string;
  simulated: string;
  consentTitle: string;
  consentIntro: string;
  consentElsewhere(organiser: string, version: string): string;
  agree: string;
  disagree: string;
  declineTitle: string;
  declineText(organiser: string): string;
  declineYes: string;
  declineNo: string;
  withdraw: string;
  withdrawTitle: string;
  withdrawText(organiser: string, effect: WithdrawalEffect): string;
  withdrawYes: string;
  withdrawNo: string;
  withdrawFailed: string;
  /** Heading after withdrawing. */
  withdrawn: string;
  withdrawnText(organiser: string, effect: WithdrawalEffect): string;
  /** Heading after declining. */
  declined: string;
  checkMicrophone: string;
  microphoneLevel: string;
  microphone: string;
  testTone: string;
  testTonePlayed: string;
  rehearse: string;
  rehearsal: Record<'idle' | 'recording' | 'playing' | 'done' | 'impossible', string>;
  ready: string;
  start: string;
  waitingMachine: string;
  /** Waiting three times as long as usual. */
  waitingLong: string;
  /** It is too early, and the candidate has not pressed `start`. */
  opensAt(time: string): string;
  /** It is too early, and the candidate has pressed `start`. */
  waitingStart(time: string): string;
  connecting: string;
  running: string;
  reconnecting: string;
  ending: string;
  ended: string;
  /** Heading after the link was opened in another tab or on another device. */
  movedOn: string;
  closing: string;
  turns: Record<Turn, string>;
  /** Instead of `listening` and `hearing`, while the candidate has muted the microphone. */
  muted: string;
  statusWords: Record<InterviewStatusWord, string>;
  mute: string;
  repeat: string;
  slower: string;
  moment: string;
  goOn: string;
  type: string;
  typeLabel: string;
  send: string;
  end: string;
  endTitle: string;
  endText: string;
  endYes: string;
  endNo: string;
  conversation: string;
  interviewer: string;
  you: string;
  savedUpTo(time: string): string;
  saving: string;
  behind: string;
  /** @param count number of the candidate's answers */
  allStored(count: number): string;
  /** On the last page of an interview that was completed. */
  nextStep(organiser: string): string;
  onDevice(count: number): string;
  download: string;
  correctAbout: string;
  correct: string;
  correctLabel: string;
  correctFailed: string;
  corrected: string;
  save: string;
  cancel: string;
  timeWarning(minutes: number): string;
  more: string;
  close: string;
  showClock: string;
  /** The switch that makes a screen reader announce the interviewer's lines. */
  readAloud: string;
  /** @param clock minutes and seconds */
  timeLeft(clock: string): string;
  /** @param share of the whole time, 0–1 */
  timeGone(share: number): string;
  handOver: string;
  handOverCode(code: string): string;
  handOverLabel: string;
  handOverWrong: string;
  continueHere: string;
  failure: string;
  cameraAbout: string;
  cameraOn: string;
  cameraOff: string;
  cameraPicture: string;
  recordStart: string;
  recordStop: string;
  /** During the seconds that are counted down. */
  recordSoon: string;
  recordUploading: string;
  recorder: Record<RecorderStatus, string>;
  recordingProblems: Record<RecordingProblem, string>;
  problems: Record<ProblemCode, string>;
  acts: Partial<Record<ProblemCode, string>>;
  /** By the reason of the end; `other` for reasons that are no business of the candidate's. */
  ends: Record<string, string> & { other: string };
}
