import { gzipSync } from 'node:zlib';
import type { Random } from '../chaos/random.ts';

/** JSON as it is, and as it should not be: cut, doubly keyed, deep, large, in other encodings. */
const twoBytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'utf16le'));

const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth);

/** The same object with its first key a second time, with another value. */
const doubled = (text: string): string => text.replace(/^\{("[^"]*"):/, '{$1:null,$1:');

type Odd = (text: string, random: Random) => string | Uint8Array;
export const oddBodies: Readonly<Record<string, Odd>> = {
  cut: (text, random) => text.slice(0, random.between(0, text.length)),
  'keys twice': doubled,
  'two documents': (text) => `${text}${text}`,
  'with a byte order mark': (text) => `\uFEFF${text}`,
  'UTF-16': twoBytes,
  'Latin 1': (text) => new Uint8Array(Buffer.from(text.replace(/[a-z]/, 'ü'), 'latin1')),
  'broken UTF-8': (text) => new Uint8Array(Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xc3, 0x28])])),
  compressed: (text) => new Uint8Array(gzipSync(text)),
  'deep lists': () => nested(100_000, '[', ']'),
  'deep objects': () => `${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}`,
  'many keys': () => `{${Array.from({ length: 20_000 }, (_, n) => `"k${n}":1`).join()}}`,
  'too large': (text) => `${text}${' '.repeat(300_000)}`,
  'a prototype': () => '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}',
  'no JSON': () => 'a=b&c=d',
  'a huge number': () => `{"limit":${'9'.repeat(5_000)}}`,
  nothing: () => '',
};

/** JSON of a value, and in one of ten cases something odd. */
export function oddText(value: unknown, random: Random): string | Uint8Array {
  const text = JSON.stringify(value) ?? 'null';
  if (random.next() > 0.1) return text;
  return (random.pick(Object.values(oddBodies)) as Odd)(text, random);
}

export const oddContentTypes = [
  'application/json; charset=utf-16',
  'application/json;charset=utf-8',
  'APPLICATION/JSON',
  'application/merge-patch+json',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'text/plain',
  'x',
  ';',
] as const;
