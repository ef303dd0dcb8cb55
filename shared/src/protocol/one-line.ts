/**
 * Text that must stay on one line: every run of white space, line separators and control characters becomes one space.
 *
 * Wherever a line has a meaning of its own (a turn of a transcript, a rule for the interviewer), a line break inside somebody's
 * words would let them write the next line.
 */
export const inOneLine = (text: string): string => text.replaceAll(/[\s\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();

/** In one line and in quotation marks, which nothing inside can close. */
export const quoted = (text: string): string => JSON.stringify(inOneLine(text));
