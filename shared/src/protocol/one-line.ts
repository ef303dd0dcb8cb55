/**
 * Puts text on one line: every run of white space, line separators and control characters becomes one space.
 *
 * Use it wherever a line has a meaning of its own (a turn of a transcript, a rule for the interviewer):
 * otherwise a line break in somebody's text could imitate the next line.
 */
export const inOneLine = (text: string): string => text.replaceAll(/[\s\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();

/** One line in quotation marks, which the text itself cannot close. */
export const quoted = (text: string): string => JSON.stringify(inOneLine(text));
