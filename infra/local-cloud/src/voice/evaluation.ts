/**
 * The stand-in model's evaluation: a summary and quotes from the transcript itself, so that a test can tell
 * that the right transcript was evaluated. The same input gives the same text.
 */
import type { Say } from './schema-filler.ts';
import type { ReadLine } from './transcript-reading.ts';

const shorten = (text: string, length: number) =>
  text.length <= length ? text : `${text.slice(0, length - 1).toWellFormed()}…`;

/** `areas_to_improve` → `areas to improve`. */
const words = (name: string) => name.replaceAll('_', ' ');

export function evaluate(lines: ReadLine[]): Say {
  const answers = lines.filter((line) => line.speaker === 'candidate');
  const questions = lines.filter((line) => line.speaker === 'interviewer');
  const at = (list: ReadLine[], index: number) => list[index % Math.max(1, list.length)];
  const summary = () => {
    if (answers.length === 0) return 'The candidate said nothing that could be evaluated.';
    const first = shorten(answers[0]?.text ?? '', 160);
    const last = shorten(answers.at(-1)?.text ?? '', 160);
    return `The candidate gave ${answers.length} answers. They began: "${first}" and ended: "${last}"`;
  };
  const rules: Array<[RegExp, (index: number) => string | number | undefined]> = [
    [/quote|evidence|excerpt|citation/, (n) => at(answers, n)?.text],
    [/^notes?$/, (n) => `The candidate answered: "${shorten(at(answers, n)?.text ?? '', 200)}"`],
    [/question/, (n) => at(questions, n)?.text],
    [/answer/, (n) => at(answers, n)?.text],
    [/sequence|entry_number|line_number/, (n) => at(answers, n)?.number],
    [/entry_id|item_id|entry_ids/, (n) => at(answers, n)?.id],
    [/summary|overview|headline|impression/, summary],
    [/strength/, (n) => `Concrete about own work: "${shorten(at(answers, n)?.text ?? '', 100)}"`],
    [/concern|weakness|risk|gap|improve/, (n) => `Could go deeper on: "${shorten(at(questions, n)?.text ?? '', 100)}"`],
    [
      /rationale|reason|comment|justification|explanation/,
      (n) => `Judged from: "${shorten(at(answers, n)?.text ?? '', 120)}"`,
    ],
    [/confidence/, () => 0.8],
  ];
  return ({ path, index }) => {
    const names = path.map((name) => name.toLowerCase()).reverse();
    const rule = names.flatMap((name) => rules.filter(([shape]) => shape.test(name)))[0];
    const said = rule?.[1](index);
    return (
      said ?? `${words(path.at(-1) ?? 'answer')}: "${shorten(at(answers, index)?.text ?? 'nothing was said', 100)}"`
    );
  };
}
