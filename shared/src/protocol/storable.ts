/**
 * Text as the database stores it. Postgres refuses NUL in text and half a surrogate pair in JSON, and refuses the whole row
 * with it. A model writes both now and then.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is left out
const controlCharacters = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/gu;

/** The text without control characters (but tab and line breaks) and with U+FFFD for half a character. */
export const storable = (text: string): string => text.toWellFormed().replaceAll(controlCharacters, '');

/** The same for every text inside a JSON value, names of fields included. Two names that become equal: the last one stays. */
export function storableValue<T>(value: T): T {
  if (typeof value === 'string') return storable(value) as T;
  if (Array.isArray(value)) return value.map(storableValue) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [storable(name), storableValue(inner)])) as T;
}
