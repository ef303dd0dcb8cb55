/**
 * What is said in an interview, and the current position in it. No time and no network.
 *
 * - All lines of a script are different, so that a transcript can be compared line by line. So are all questions, by
 *   which a later call finds where the interview is.
 * - A new call knows only its own context, as with the real model. It continues after the furthest question
 *   that `resumeAt` finds in its texts (instructions and inserted items), answered or not.
 */
export interface ScriptTurn {
  interviewer: string;
  candidate: string;
}

export interface InterviewScript {
  turns: ScriptTurn[];
  goodbye: string;
}

const opening = 'Hello and welcome. I am the interviewer today, and it is good to meet you.';

const pool: ScriptTurn[] = [
  {
    interviewer: 'To begin, could you tell me a little about yourself and what you work on now?',
    candidate: 'I am a backend engineer. For the last four years I have built payment services in TypeScript and Go.',
  },
  {
    interviewer: 'Which project of the last two years are you most proud of, and what was your own part in it?',
    candidate:
      'We moved our ledger from nightly batches to a stream. I designed the idempotency keys and led the migration.',
  },
  {
    interviewer: 'Tell me about a production incident you handled. How did you find the cause?',
    candidate:
      'Our queue lagged by an hour one night. I compared consumer traces and found one slow query holding a lock.',
  },
  {
    interviewer: 'How do you decide whether a change needs a design document or can go straight to code?',
    candidate: 'If it is hard to undo or touches another team, I write a page first. Otherwise a small pull request.',
  },
  {
    interviewer: 'Describe a disagreement with a colleague about a technical choice. What happened?',
    candidate: 'We argued about a shared cache. I built both in a day, we measured, and her version won fairly.',
  },
  {
    interviewer: 'How do you make sure that a retried request does not charge a customer twice?',
    candidate:
      'The client sends a key, the key is unique in the database, and the first result is stored and replayed.',
  },
  {
    interviewer: 'What do you look for when you review the code of someone more junior than you?',
    candidate: 'First whether the tests would catch a mistake, then names. I ask questions rather than give orders.',
  },
  {
    interviewer: 'Suppose the database is slow every morning at nine. Where do you start?',
    candidate: 'With the numbers: connections, locks and the slowest statements. Then I look for what runs at nine.',
  },
  {
    interviewer: 'What have you learned recently that changed how you work?',
    candidate: 'Property based testing. It found two rounding errors in our invoices that no example had shown.',
  },
  {
    interviewer: 'Is there anything you would like to ask me about the team or the role?',
    candidate: 'Yes, how do you share the on call work, and what would a good first three months look like?',
  },
];

const numbered = (n: number): ScriptTurn => ({
  interviewer: `Let us go on. What would you do first about topic number ${n}, and why?`,
  candidate: `For topic number ${n} I would measure before changing anything, then fix the largest part first.`,
});

/**
 * An interview of `turns` questions, each answered once.
 * @param turns at least 1.
 */
export function createInterviewScript(turns: number): InterviewScript {
  const lines = Array.from({ length: turns }, (_, index) => ({ ...(pool[index] ?? numbered(index + 1)) }));
  const first = lines[0];
  if (!first) throw new Error('a script needs at least one turn');
  first.interviewer = `${opening} ${first.interviewer}`;
  return { turns: lines, goodbye: 'Thank you for your time today. That was all from my side. Goodbye.' };
}

const plain = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();

/** The last sentence of a line is the question; greetings before it may differ. */
const questionOf = (line: string) => plain(line.split(/(?<=[.!])\s+/).at(-1) ?? line);

/**
 * Index of the turn to ask next, judged from the call's context; 0 when the context contains no line of the
 * script.
 */
export function resumeAt(script: InterviewScript, context: string[]): number {
  const known = plain(context.join('\n'));
  const answered = script.turns.findLastIndex((turn) => known.includes(plain(turn.candidate)));
  const asked = script.turns.findLastIndex((turn) => known.includes(questionOf(turn.interviewer)));
  return Math.max(answered + 1, asked, 0);
}

export interface ScriptCursor {
  /** Index of the current question; the number of turns when all are done. */
  readonly position: number;
  readonly finished: boolean;
  /** The current question. `resumed` puts a transition before it instead of the greeting. */
  question(resumed?: boolean): string;
  /** The current question once more, after a pause or an interruption. */
  again(): string;
  /** The candidate's next answer; moves to the next question. */
  answer(): string;
  readonly goodbye: string;
  moveTo(position: number): void;
}

export function createCursor(script: InterviewScript): ScriptCursor {
  let position = 0;
  let repeats = 0;
  let extras = 0;
  const current = () => script.turns[position];
  const bare = () => (current()?.interviewer ?? '').replace(opening, '').trim();
  return {
    get position() {
      return position;
    },
    get finished() {
      return position >= script.turns.length;
    },
    question: (resumed = false) =>
      resumed ? `Welcome back. Let us go on where we stopped. ${bare()}` : (current()?.interviewer ?? script.goodbye),
    again: () => {
      if (!current()) return script.goodbye;
      repeats += 1;
      return repeats === 1 ? `Take your time. ${bare()}` : `Let me ask again, time ${repeats}. ${bare()}`;
    },
    answer: () => {
      const turn = current();
      if (turn) position += 1;
      else extras += 1;
      return turn?.candidate ?? `Thank you, that is all from me, remark ${extras}.`;
    },
    goodbye: script.goodbye,
    moveTo: (to) => {
      position = Math.max(0, Math.min(to, script.turns.length));
    },
  };
}
