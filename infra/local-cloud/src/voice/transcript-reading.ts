/** Finds the lines of an interview in a request to the model: JSON, or lines such as `[3] candidate: …`. */
export interface ReadLine {
  speaker: 'interviewer' | 'candidate';
  text: string;
  /** The line's id and number, where it has them. */
  id: string | undefined;
  number: number | undefined;
}

const speakers: Record<string, ReadLine['speaker']> = {
  interviewer: 'interviewer',
  assistant: 'interviewer',
  ai: 'interviewer',
  agent: 'interviewer',
  candidate: 'candidate',
  user: 'candidate',
  applicant: 'candidate',
};

const names = Object.keys(speakers).join('|');
const lineShape = new RegExp(`^\\W*([\\w-]+)?[^\\w\\n]*?\\b(${names})\\b[^:\\n]{0,60}:\\s*(.+)$`, 'gim');

/** Every line found, in input order. */
export function readTranscript(texts: string[]): ReadLine[] {
  return texts.flatMap((text) => {
    const found = jsonIn(text).flatMap(linesInJson);
    return found.length > 0 ? found : linesInText(text);
  });
}

function linesInText(text: string): ReadLine[] {
  return [...text.matchAll(lineShape)].flatMap(([, label, name, said]) => {
    const speaker = speakers[(name ?? '').toLowerCase()];
    if (!speaker || !said) return [];
    const id = label && !speakers[label.toLowerCase()] ? label : undefined;
    const number = id && /^\d+$/.test(id) ? Number(id) : undefined;
    return [{ speaker, text: unquoted(said), id, number }];
  });
}

const unquoted = (said: string) => said.trim().replace(/^"(.*)"$/, '$1');

/** The JSON values in a text: the whole text, the part between the outermost brackets, or each line. */
function jsonIn(text: string): unknown[] {
  const outer = [/\{[\s\S]*\}/.exec(text)?.[0], /\[[\s\S]*\]/.exec(text)?.[0]].filter((part) => part !== undefined);
  const whole = [text, ...outer].map(parsed).find((value) => value !== undefined && linesInJson(value).length > 0);
  if (whole !== undefined) return [whole];
  return text
    .split('\n')
    .map(parsed)
    .filter((value) => value !== undefined);
}

function parsed(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** A note on a question, from one part of a long interview. */
const linesOfNote = ({ question, notes }: Record<string, unknown>): ReadLine[] => [
  { speaker: 'interviewer', text: String(question), id: undefined, number: undefined },
  { speaker: 'candidate', text: String(notes), id: undefined, number: undefined },
];

function linesInJson(value: unknown): ReadLine[] {
  if (Array.isArray(value)) return value.flatMap(linesInJson);
  if (typeof value !== 'object' || value === null) return [];
  const record = value as Record<string, unknown>;
  const speaker = speakers[String(record.speaker ?? record.role ?? '').toLowerCase()];
  if (typeof record.question === 'string' && typeof record.notes === 'string') return linesOfNote(record);
  const text = record.text ?? record.transcript ?? record.content;
  if (!speaker || typeof text !== 'string') return Object.values(record).flatMap(linesInJson);
  const id = record.id ?? record.entry_id ?? record.item_id ?? record.sequence_number;
  const number = [record.sequence_number, record.number, record.index].find((n) => typeof n === 'number');
  return [{ speaker, text, id: id === undefined ? undefined : String(id), number }];
}
