import * as z from 'zod';

/**
 * Names, addresses and ids of people in any script.
 *
 * The database applies the same rules (`app.is_name`, `app.is_email`), because a member of a tenant may write
 * to it directly. The patterns therefore use only what JavaScript and PostgreSQL understand alike, and
 * `supabase/tests/doors.test.ts` compares the two. Lengths are counted in characters (code points), as
 * PostgreSQL and JSON Schema count them.
 */

/**
 * White space, control characters, and characters without a visible form: joiners, direction marks, variation
 * selectors, fillers, tags.
 */
const invisible =
  '\\u0000-\\u0020\\u007f-\\u00a0\\u00ad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5\\u180b-\\u180f\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f' +
  '\\u2800\\u3000\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff9-\\ufffb\\u{e0000}-\\u{e0fff}';

// biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are refused
const hasControl = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/u;
const hasVisible = new RegExp(`[^${invisible}]`, 'u');

/** Texts that are too long are refused before any pattern runs. */
const isTooLong = (text: string, max: number): boolean => text.length > max * 2 || [...text].length > max;

function textProblem(text: string, max: number): string | undefined {
  if (isTooLong(text, max)) return `must have at most ${max} characters`;
  if (!text.isWellFormed()) return 'must be well-formed text';
  return hasControl.test(text) ? 'must not contain control characters' : undefined;
}

const nameProblem = (text: string, max: number): string | undefined =>
  textProblem(text, max) ?? (hasVisible.test(text) ? undefined : 'must contain a visible character');

type Problem = (text: string) => string | undefined;
const checked = (problem: Problem) => (text: string, context: z.RefinementCtx<string>) => {
  const message = problem(text);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
};

/**
 * A name of a person or a thing: it has a visible character, and no control characters except tab and line
 * breaks. Use `inOneLine` where a line break would have a meaning. @param max characters
 */
export const nameText = (max: number) =>
  z
    .string()
    .superRefine(checked((text) => nameProblem(text, max)))
    .meta({ minLength: 1, maxLength: max });

/** A longer readable text. @param max characters */
export const paragraphs = (max: number) =>
  z
    .string()
    .superRefine(checked((text) => textProblem(text, max)))
    .meta({ maxLength: max });

/**
 * One label of a domain: ASCII or any other script. Each part can match in one way only, so that matching
 * takes linear time.
 */
const label = '[a-z0-9\\u0080-\\u{10ffff}]+(?:-+[a-z0-9\\u0080-\\u{10ffff}]+)*';
const lastLabel = '[a-z\\u0080-\\u{10ffff}][a-z0-9\\u0080-\\u{10ffff}]*(?:-+[a-z0-9\\u0080-\\u{10ffff}]+)*';
const atom = "[a-z0-9!#$%&'*+/=?^_`{|}~\\u0080-\\u{10ffff}-]+";
const address = new RegExp(`^${atom}(?:\\.${atom})*@(?:${label}\\.)+${lastLabel}$`, 'iu');
const hasInvisible = new RegExp(`[${invisible}]`, 'u');
/** All patterns, for the test of their running time. */
export const namePatterns: readonly RegExp[] = [hasControl, hasVisible, hasInvisible, address];
const maxAddress = 254;

function addressProblem(text: string): string | undefined {
  if (isTooLong(text, maxAddress)) return `must have at most ${maxAddress} characters`;
  return text.isWellFormed() && !hasInvisible.test(text) && address.test(text)
    ? undefined
    : 'must be an e-mail address';
}

/** An e-mail address. Both parts may contain letters of any script. */
export const emailAddress = z
  .string()
  .superRefine(checked(addressProblem))
  .meta({ format: 'idn-email', maxLength: maxAddress });
