import type { Random } from '../chaos/random.ts';

/** Values from a JSON schema, right and wrong: mostly of the right shape, so that they get past the first check. */
export interface Schema {
  type?: string | string[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  oneOf?: Schema[];
  format?: string;
}

const awkward = (random: Random): string => {
  const long = random.between(1, 200_000);
  const texts = [
    '',
    'text',
    '\u0000',
    '\ud800',
    '🦊',
    "'; drop table x; --",
    '{{candidate_name}}',
    `{{${' '.repeat(long)}`,
    ' '.repeat(long),
    'a'.repeat(long),
    'a.'.repeat(long / 2),
    '\n'.repeat(random.between(1, 2_000)),
    '__proto__',
    '../../etc/passwd',
    '2026-01-01T00:00:00Z',
    '9999-12-31T23:59:59+15:59',
    'fra',
    'en',
    crypto.randomUUID(),
    'v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n',
    'https://example.com/',
    'item_1',
  ];
  return random.pick(texts) as string;
};
const numbers = [0, 1, -1, 2, 20, 0.5, 1e9, 2 ** 31, 2 ** 53, 1e308, -1e308];

export const anything = (random: Random): unknown =>
  random.pick<() => unknown>([
    () => null,
    () => true,
    () => random.pick(numbers),
    () => awkward(random),
    () => Array.from({ length: random.between(0, 30) }, () => awkward(random).slice(0, 200)),
    () => Object.fromEntries(Array.from({ length: random.between(0, 30) }, (_, n) => [`key${n}`, n])),
    () => nested(random.between(1, 2_000)),
  ])?.();

const nested = (depth: number): unknown => {
  let value: unknown = 1;
  for (let n = 0; n < depth; n += 1) value = [value];
  return value;
};

export function madeOf(schema: Schema, random: Random): unknown {
  if (random.next() < 0.08) return anything(random);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return madeOf(random.pick(choices) as Schema, random);
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return random.pick(schema.enum);
  const type = [schema.type].flat()[0];
  if (type === 'object') return objectOf(schema, random);
  if (type === 'array') return Array.from({ length: random.between(0, 5) }, () => madeOf(schema.items ?? {}, random));
  if (type === 'integer' || type === 'number') return random.pick(numbers);
  if (type === 'boolean') return random.next() < 0.5;
  if (schema.format === 'uuid') return crypto.randomUUID();
  return type === 'string' ? awkward(random) : anything(random);
}

function objectOf({ properties = {}, required = [] }: Schema, random: Random): object {
  const present = Object.entries(properties).filter(([name]) => required.includes(name) || random.next() < 0.4);
  const made = Object.fromEntries(present.map(([name, of]) => [name, madeOf(of, random)]));
  return random.next() < 0.05 ? { ...made, [awkward(random).slice(0, 50)]: 1 } : made;
}
