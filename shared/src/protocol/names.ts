import * as z from 'zod';

/**
 * Names, addresses and ids of people as the whole world writes them.
 *
 * The database checks the same rules (`app.is_name`, `app.is_email`): a member of a tenant may write there without this API. So the
 * patterns use nothing that JavaScript and PostgreSQL understand differently, and `supabase/tests/doors.test.ts` compares the two.
 * Lengths are counted in characters (code points), as PostgreSQL and JSON Schema count them.
 */

/** White space, control characters, and characters that show nothing: joiners, direction marks, variation selectors, fillers, tags. */
const invisible =
  '\\u0000-\\u0020\\u007f-\\u00a0\\u00ad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5\\u180b-\\u180f\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f' +
  '\\u2800\\u3000\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff9-\\ufffb\\u{e0000}-\\u{e0fff}';

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const hasControl = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/u;
const hasVisible = new RegExp(`[^${invisible}]`, 'u');

/** Longer texts are refused before any pattern is tried. */
const isTooLong = (text: string, max: number): boolean => text.length > max * 2 || [...text].length > max;

function textProblem(text: string, max: number): string | undefined {
  if (isTooLong(text, max)) return `must have at most ${max} characters`;
  if (!text.isWellFormed()) return 'must be well-formed text';
  return hasControl.test(text) ? 'must not contain control characters' : undefined;
}

const nameProblem = (text: string, max: number): string | undefined =>
  textProblem(text, max) ?? (hasVisible.test(text) ? undefined : 'must show something');

type Problem = (text: string) => string | undefined;
const checked = (problem: Problem) => (text: string, context: z.RefinementCtx<string>) => {
  const message = problem(text);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
};

/**
 * A name of a person or a thing: shows something, and has no control characters but tab and line breaks. Where a line has a
 * meaning of its own, put the name there by `inOneLine`. @param max characters
 */
export const nameText = (max: number) =>
  z
    .string()
    .superRefine(checked((text) => nameProblem(text, max)))
    .meta({ minLength: 1, maxLength: max });

/** A longer text for people. @param max characters */
export const paragraphs = (max: number) =>
  z
    .string()
    .superRefine(checked((text) => textProblem(text, max)))
    .meta({ maxLength: max });

/** Letters and digits of a label of a domain: ASCII, or of any other script. Each part can match in one way only: linear. */
const label = '[a-z0-9\\u0080-\\u{10ffff}]+(?:-+[a-z0-9\\u0080-\\u{10ffff}]+)*';
const lastLabel = '[a-z\\u0080-\\u{10ffff}][a-z0-9\\u0080-\\u{10ffff}]*(?:-+[a-z0-9\\u0080-\\u{10ffff}]+)*';
const atom = "[a-z0-9!#$%&'*+/=?^_`{|}~\\u0080-\\u{10ffff}-]+";
const address = new RegExp(`^${atom}(?:\\.${atom})*@(?:${label}\\.)+${lastLabel}$`, 'iu');
const hasInvisible = new RegExp(`[${invisible}]`, 'u');
/** Every pattern here, for the test that judges their growth. */
export const namePatterns: readonly RegExp[] = [hasControl, hasVisible, hasInvisible, address];
const maxAddress = 254;

function addressProblem(text: string): string | undefined {
  if (isTooLong(text, maxAddress)) return `must have at most ${maxAddress} characters`;
  return text.isWellFormed() && !hasInvisible.test(text) && address.test(text)
    ? undefined
    : 'must be an e-mail address';
}

/** An e-mail address, also with letters of other scripts on either side of the `@`. */
export const emailAddress = z
  .string()
  .superRefine(checked(addressProblem))
  .meta({ format: 'idn-email', maxLength: maxAddress });
