/**
 * Identifiers in the platform's format: 14 hex digits for a machine, 26-character ULIDs for versions and
 * events.
 */
import { randomBytes, randomInt } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const WORDS = [
  'ancient',
  'autumn',
  'bitter',
  'cold',
  'dawn',
  'dry',
  'lively',
  'misty',
  'quiet',
  'silent',
  'snowy',
  'wild',
];
const NOUNS = ['bird', 'brook', 'cloud', 'field', 'fire', 'glade', 'leaf', 'pine', 'pond', 'river', 'sea', 'star'];

function encodeTime(nowMs: number): string {
  let text = '';
  for (let rest = nowMs; text.length < 10; rest = Math.floor(rest / 32)) text = ALPHABET[rest % 32] + text;
  return text;
}

/** Sortable by time, and random. */
export const ulid = (nowMs: number): string =>
  encodeTime(nowMs) + Array.from(randomBytes(16), (byte) => ALPHABET[byte % 32]).join('');

export const newMachineId = (): string => randomBytes(7).toString('hex');

/** The name of a machine that was created without one. */
export const newMachineName = (): string =>
  `${WORDS[randomInt(WORDS.length)]}-${NOUNS[randomInt(NOUNS.length)]}-${randomInt(1_000, 10_000)}`;

export const newRequestId = (nowMs: number, region: string): string => `${ulid(nowMs)}-${region}`;
