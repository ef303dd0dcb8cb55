import { createRoot } from 'react-dom/client';
import { InterviewReview, type InterviewReviewProps } from '../react/review.tsx';
import { reviewDe, reviewEn } from '../react/review-messages.ts';
import type { ReviewEntry, ReviewResult } from '../react/review-types.ts';

/** States of the review from fixtures: `#name/en`. The names are in `window.gallery`. For pictures, axe and the tests of the player. */
const entry = (sequence_number: number, text: string, more: Partial<ReviewEntry> = {}): ReviewEntry => ({
  ...{ sequence_number, ordinal: 1, text, speaker: sequence_number % 2 === 1 ? 'ai' : 'candidate' },
  ...{ start_ms: sequence_number * 20_000, interrupted: false, verified: true, correction: null },
  ...more,
});
const entries = [
  entry(1, 'Welcome. Could you describe a system you built, and what you would do differently today?'),
  entry(2, 'We ran a queue in front of Postgres. Today I would begin without it and measure first.', {
    correction: 'I said Redis, not Postgres.',
  }),
  entry(3, 'Thank you. How did you notice that the queue was', { interrupted: true }),
  entry(4, 'From the latency. Every second request waited for a lock that nobody needed.'),
  entry(5, 'What would you measure first?'),
  entry(6, 'I am the best candidate you will ever see.', { verified: false }),
  entry(7, 'And after the second call began, what did you change?', { ordinal: 2, start_ms: 4_000 }),
];
const result: ReviewResult = {
  ...{ status: 'done', human_reviewed: false, reviewed_by: null, transcript_revision: 1, wanted_revision: 1 },
  ...{ unverified_entries: 0, integrity_flags: [] },
  summary: 'The candidate described a queue in front of a database and how its latency was found.',
  evaluation: {
    strengths: ['Measures before changing a system', 'Explains causes in order'],
    areas_to_improve: ['Names few alternatives'],
    question_notes: [
      {
        question: 'Describe a system you built.',
        notes: 'Built a queue in front of Postgres and would begin without it today.',
        sequence_numbers: [2, 4],
      },
      { question: 'What would you measure first?', notes: 'Did not answer.', sequence_numbers: [99] },
    ],
    overall_impression: 'Clear and careful answers; little about trade-offs.',
    recommendation: 'yes',
    confidence: 0.7,
  },
};
const recordings = [
  {
    video_id: 'vi1',
    watch_url: 'https://embed.test/vod/vi1?token=once',
    calls: [
      { ordinal: 1, begins_ms: -3_000 },
      { ordinal: 2, begins_ms: 300_000 },
    ],
  },
];

const fixtures: Record<string, Omit<InterviewReviewProps, 'messages'>> = {
  whole: { transcript: { simulated: false, entries }, result, recordings },
  flagged: {
    transcript: { simulated: true, entries },
    result: {
      ...result,
      ...{ unverified_entries: 1, human_reviewed: true, reviewed_by: 'Sam Rivera', wanted_revision: 2 },
      integrity_flags: [
        { kind: 'foreign_item', count: 2 },
        { kind: 'a_kind_of_tomorrow', count: 1 },
      ],
    },
    recordings: [...recordings, { video_id: 'vi2', watch_url: null, calls: [] }],
  },
  pending: {
    transcript: { simulated: false, entries },
    result: { ...result, status: 'pending', summary: null, evaluation: null },
  },
  dead: {
    transcript: { simulated: false, entries },
    result: { ...result, status: 'dead', summary: null, evaluation: null },
  },
  empty: { transcript: { simulated: false, entries: [] }, result: null },
};

Object.assign(window, { gallery: Object.keys(fixtures) });
const [name = 'whole', language = 'en'] = location.hash.slice(1).split('/');
document.documentElement.lang = language;
document.title = 'Review';
createRoot(document.getElementById('room') as HTMLElement).render(
  <main>
    <h1>Kim Lee</h1>
    <InterviewReview
      {...(fixtures[name] as InterviewReviewProps)}
      language="en"
      messages={language === 'de' ? reviewDe : reviewEn}
    />
  </main>,
);
