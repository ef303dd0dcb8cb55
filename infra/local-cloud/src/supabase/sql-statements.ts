/**
 * Splits a SQL script into its statements, so that an error can be told by line and each statement can be recorded.
 *
 * A semicolon ends a statement unless it stands in a string, a quoted name, a comment, a dollar-quoted body, or a
 * `begin atomic … end` body.
 */
export interface Statement {
  text: string;
  /** Line of its first character in the script, from 1. */
  line: number;
}

/** Everything in which a semicolon or a word means nothing, tried at one place. */
const opaque = [
  /--[^\n]*/y,
  /[eE]'(?:[^'\\]|\\[\s\S]|'')*'/y,
  /'(?:[^']|'')*'/y,
  /"(?:[^"]|"")*"/y,
  /\$([A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[\s\S]*?\$\1\$/y,
];
const word = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;

function matchAt(pattern: RegExp, script: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(script)?.[0];
}

/** Length of a comment that may hold others of its kind. */
function blockComment(script: string, at: number): number {
  if (!script.startsWith('/*', at)) return 0;
  let depth = 0;
  for (let end = at; end < script.length; end++) {
    if (script.startsWith('/*', end)) [depth, end] = [depth + 1, end + 1];
    else if (script.startsWith('*/', end)) [depth, end] = [depth - 1, end + 1];
    if (depth === 0) return end + 1 - at;
  }
  return script.length - at;
}

function opaqueLength(script: string, at: number): number {
  for (const pattern of opaque) {
    const match = matchAt(pattern, script, at);
    if (match !== undefined) return match.length;
  }
  return blockComment(script, at);
}

/** How many `end`s a `begin atomic` body still needs, after one more word. */
function bodyDepth(depth: number, previous: string, current: string): number {
  if (previous === 'begin' && current === 'atomic') return 1;
  if (depth > 0 && current === 'case') return depth + 1;
  return depth > 0 && current === 'end' ? depth - 1 : depth;
}

/** Where each statement ends: the places of the semicolons that end one. */
function semicolons(script: string): number[] {
  const places: number[] = [];
  let depth = 0;
  let previous = '';
  for (let at = 0; at < script.length; ) {
    const skipped = opaqueLength(script, at);
    const name = skipped > 0 ? undefined : matchAt(word, script, at);
    if (name !== undefined) {
      depth = bodyDepth(depth, previous, name.toLowerCase());
      previous = name.toLowerCase();
    } else if (skipped === 0 && script[at] === ';' && depth === 0) places.push(at);
    at += skipped || name?.length || 1;
  }
  return places;
}

function lengthOfBlank(script: string): number {
  let at = 0;
  for (;;) {
    const space = matchAt(/\s+/y, script, at)?.length ?? 0;
    const comment = matchAt(/--[^\n]*/y, script, at)?.length ?? blockComment(script, at);
    if (space + comment === 0) return at;
    at += space || comment;
  }
}

/** The statements in order, without the comments before them and without their semicolons; empty ones are left out. */
export function splitStatements(script: string): Statement[] {
  const statements: Statement[] = [];
  let from = 0;
  for (const end of [...semicolons(script), script.length]) {
    const start = from + Math.min(lengthOfBlank(script.slice(from, end)), end - from);
    const text = script.slice(start, end).trimEnd();
    if (text !== '') statements.push({ text, line: script.slice(0, start).split('\n').length });
    from = end + 1;
  }
  return statements;
}
