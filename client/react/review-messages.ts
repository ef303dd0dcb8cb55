import type { ReviewEvaluation, ReviewResult } from './review-types.ts';

/** Every text of `InterviewReview` and `RecordingPlayer`. A missing one is a type error. */
export interface ReviewMessages {
  lang: string;
  evaluation: string;
  noEvaluation: string;
  statuses: Record<ReviewResult['status'], string>;
  /** A longer transcript is being evaluated again. */
  outdated: string;
  simulated: string;
  reviewedBy(name: string | null): string;
  notReviewed: string;
  recommendation: string;
  recommendations: Record<ReviewEvaluation['recommendation'], string>;
  support(percent: number): string;
  strengths: string;
  areas: string;
  questions: string;
  quotes: string;
  quote(number: number): string;
  integrity: string;
  integrityFine: string;
  unverifiedCount(count: number): string;
  /** By kind of integrity flag; `other` for kinds that have no sentence. */
  flags: Record<string, (count: number) => string> & { other(count: number): string };
  recording: string;
  noRecording: string;
  recordingNumber(number: number, count: number): string;
  play: string;
  playFrom(time: string): string;
  playerTitle: string;
  notPlayable: string;
  transcript: string;
  noTranscript: string;
  interviewer: string;
  candidate: string;
  unverified: string;
  interrupted: string;
  corrected: string;
}

const times = (count: number) => (count === 1 ? 'once' : `${count} times`);

export const reviewEn: ReviewMessages = {
  lang: 'en',
  evaluation: 'Evaluation',
  noEvaluation: 'There is no evaluation.',
  statuses: {
    pending: 'The evaluation is being made.',
    running: 'The evaluation is being made.',
    done: '',
    empty: 'There is nothing to evaluate: the candidate said nothing.',
    dead: 'The evaluation could not be made.',
  },
  outdated: 'More of the conversation has arrived since. A new evaluation is being made.',
  simulated: 'This interview was a simulation: no AI provider spoke.',
  reviewedBy: (name) => (name ? `Reviewed by ${name}.` : 'Reviewed by a person.'),
  notReviewed: 'Written by an AI and not reviewed by a person yet.',
  recommendation: 'Recommendation',
  recommendations: {
    undecided: 'The conversation does not support a recommendation.',
    strong_yes: 'Strongly in favour',
    yes: 'In favour',
    no: 'Against',
    strong_no: 'Strongly against',
  },
  support: (percent) => `How well the conversation supports this: ${percent} %`,
  strengths: 'Strengths',
  areas: 'Areas to improve',
  questions: 'Questions',
  quotes: 'In the conversation',
  quote: (number) => `Entry ${number}`,
  integrity: 'What to know before trusting it',
  integrityFine: 'Nothing unusual was noticed.',
  unverifiedCount: (count) =>
    `${count === 1 ? 'One entry is' : `${count} entries are`} known from the candidate’s browser alone and may never have been said.`,
  flags: {
    foreign_item: (count) =>
      `The candidate’s browser added text to the conversation by itself (${times(count)}). It was removed.`,
    foreign_item_delete: (count) =>
      `The candidate’s browser tried to delete parts of the conversation (${times(count)}).`,
    foreign_session_update: (count) =>
      `The candidate’s browser tried to change the interviewer’s instructions (${times(count)}). They were restored.`,
    foreign_response_create: (count) =>
      `The candidate’s browser made the interviewer speak out of turn (${times(count)}).`,
    foreign_cancel: (count) => `The candidate’s browser cut the interviewer’s answer off (${times(count)}).`,
    foreign_truncate: (count) => `The candidate’s browser shortened what the interviewer had said (${times(count)}).`,
    foreign_output_clear: (count) => `The candidate’s browser silenced the interviewer’s voice (${times(count)}).`,
    foreign_audio_clear: (count) => `The candidate’s browser threw away what the candidate had said (${times(count)}).`,
    unknown_reference: (count) =>
      `The evaluation named entries that do not exist (${times(count)}). Those references were left out.`,
    other: (count) => `Something in the call did not come from us or the AI provider (${times(count)}).`,
  },
  recording: 'Recording',
  noRecording: 'There is no recording.',
  recordingNumber: (number, count) => `Recording ${number} of ${count}`,
  play: 'Play the recording',
  playFrom: (time) => `Play from ${time}`,
  playerTitle: 'Recording of the candidate’s camera',
  notPlayable: 'The recording cannot be played at the moment. Try again in a minute.',
  transcript: 'Conversation',
  noTranscript: 'Nothing was said.',
  interviewer: 'Interviewer',
  candidate: 'Candidate',
  unverified: 'Unverified: reported by the candidate’s browser alone',
  interrupted: 'Interrupted: its end was not heard',
  corrected: 'The candidate noted:',
};

const mal = (count: number) => (count === 1 ? 'einmal' : `${count}-mal`);

export const reviewDe: ReviewMessages = {
  lang: 'de',
  evaluation: 'Auswertung',
  noEvaluation: 'Es gibt keine Auswertung.',
  statuses: {
    pending: 'Die Auswertung wird erstellt.',
    running: 'Die Auswertung wird erstellt.',
    done: '',
    empty: 'Es gibt nichts auszuwerten: Die Person hat nichts gesagt.',
    dead: 'Die Auswertung konnte nicht erstellt werden.',
  },
  outdated: 'Seitdem ist mehr vom Gespräch eingetroffen. Eine neue Auswertung wird erstellt.',
  simulated: 'Dieses Gespräch war eine Simulation: Es hat kein KI-Anbieter gesprochen.',
  reviewedBy: (name) => (name ? `Geprüft von ${name}.` : 'Von einem Menschen geprüft.'),
  notReviewed: 'Von einer KI geschrieben und noch von keinem Menschen geprüft.',
  recommendation: 'Empfehlung',
  recommendations: {
    undecided: 'Das Gespräch trägt keine Empfehlung.',
    strong_yes: 'Sehr dafür',
    yes: 'Dafür',
    no: 'Dagegen',
    strong_no: 'Sehr dagegen',
  },
  support: (percent) => `Wie gut das Gespräch dies stützt: ${percent} %`,
  strengths: 'Stärken',
  areas: 'Was besser werden kann',
  questions: 'Fragen',
  quotes: 'Im Gespräch',
  quote: (number) => `Eintrag ${number}`,
  integrity: 'Was man wissen muss, bevor man sich darauf verlässt',
  integrityFine: 'Es ist nichts Ungewöhnliches aufgefallen.',
  unverifiedCount: (count) =>
    `${count === 1 ? 'Ein Eintrag ist' : `${count} Einträge sind`} nur vom Browser der Person bekannt und vielleicht nie gesagt worden.`,
  flags: {
    foreign_item: (count) =>
      `Der Browser der Person hat selbst Text ins Gespräch gesetzt (${mal(count)}). Er wurde entfernt.`,
    foreign_item_delete: (count) => `Der Browser der Person wollte Teile des Gesprächs löschen (${mal(count)}).`,
    foreign_session_update: (count) =>
      `Der Browser der Person wollte die Anweisungen der KI ändern (${mal(count)}). Sie wurden wiederhergestellt.`,
    foreign_response_create: (count) =>
      `Der Browser der Person hat die KI außer der Reihe sprechen lassen (${mal(count)}).`,
    foreign_cancel: (count) => `Der Browser der Person hat die Antwort der KI abgeschnitten (${mal(count)}).`,
    foreign_truncate: (count) => `Der Browser der Person hat gekürzt, was die KI gesagt hatte (${mal(count)}).`,
    foreign_output_clear: (count) => `Der Browser der Person hat die Stimme der KI verstummen lassen (${mal(count)}).`,
    foreign_audio_clear: (count) =>
      `Der Browser der Person hat verworfen, was die Person gesagt hatte (${mal(count)}).`,
    unknown_reference: (count) =>
      `Die Auswertung nannte Einträge, die es nicht gibt (${mal(count)}). Diese Verweise fehlen hier.`,
    other: (count) => `Etwas im Gespräch kam weder von uns noch vom KI-Anbieter (${mal(count)}).`,
  },
  recording: 'Aufzeichnung',
  noRecording: 'Es gibt keine Aufzeichnung.',
  recordingNumber: (number, count) => `Aufzeichnung ${number} von ${count}`,
  play: 'Aufzeichnung abspielen',
  playFrom: (time) => `Ab ${time} abspielen`,
  playerTitle: 'Aufzeichnung der Kamera',
  notPlayable: 'Die Aufzeichnung kann gerade nicht abgespielt werden. Versuchen Sie es in einer Minute noch einmal.',
  transcript: 'Gespräch',
  noTranscript: 'Es wurde nichts gesagt.',
  interviewer: 'KI',
  candidate: 'Person',
  unverified: 'Unbestätigt: nur vom Browser der Person gemeldet',
  interrupted: 'Unterbrochen: Das Ende war nicht zu hören',
  corrected: 'Die Person hat angemerkt:',
};
