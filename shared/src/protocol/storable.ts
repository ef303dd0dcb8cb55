/**
 * Text that the database can store. Postgres refuses a row with NUL in text or half a surrogate pair in JSON,
 * and language models sometimes produce both.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are removed
const controlCharacters = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/gu;

/**
 * The text without control characters (except tab and line breaks), with U+FFFD for half a surrogate pair.
 */
export const storable = (text: string): string => text.toWellFormed().replaceAll(controlCharacters, '');

/**
 * Applies `storable` to every text in a JSON value, including field names. If two names become equal, the
 * last one is kept.
 */
export function storableValue<T>(value: T): T {
  if (typeof value === 'string') return storable(value) as T;
  if (Array.isArray(value)) return value.map(storableValue) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [storable(name), storableValue(inner)])) as T;
}
