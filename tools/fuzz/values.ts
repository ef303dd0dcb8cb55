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
  minimum?: number;
  maximum?: number;
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
    uuid(random),
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

const within = ({ minimum = 0, maximum = 100 }: Schema, random: Random): number =>
  random.between(Math.max(minimum, -1e9), Math.min(maximum, 1e9));

const hex = (random: Random, length: number): string =>
  Array.from({ length }, () => random.between(0, 15).toString(16)).join('');
const uuid = (random: Random): string =>
  `${hex(random, 8)}-${hex(random, 4)}-4${hex(random, 3)}-8${hex(random, 3)}-${hex(random, 12)}`;

/** Valid texts of the formats that our schemas use. */
const formats: Record<string, (random: Random) => string> = {
  uuid,
  'date-time': (random) => new Date(Date.UTC(2027, random.between(0, 11), random.between(1, 28))).toISOString(),
  email: (random) => `${hex(random, 6)}@example.com`,
  uri: (random) => `https://${hex(random, 6)}.example.com/`,
};

/** The same value with one place changed: another value, none, or one more field. */
export function changed(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null || random.next() < 0.1) return anything(random);
  if (Array.isArray(value)) {
    const at = random.between(0, value.length);
    return [...value.slice(0, at), changed(value[at], random), ...value.slice(at + 1)];
  }
  const name = random.pick(Object.keys(value));
  if (name === undefined || random.next() < 0.1) return { ...value, [awkward(random).slice(0, 50)]: anything(random) };
  const { [name]: inner, ...rest } = value as Record<string, unknown>;
  return random.next() < 0.2 ? rest : { ...rest, [name]: changed(inner, random) };
}

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
  if (type === 'integer' || type === 'number')
    return random.next() < 0.5 ? within(schema, random) : random.pick(numbers);
  if (type === 'boolean') return random.next() < 0.5;
  const formatted = formats[schema.format ?? ''];
  if (formatted) return formatted(random);
  return type === 'string' ? awkward(random) : anything(random);
}

function objectOf({ properties = {}, required = [] }: Schema, random: Random): object {
  const present = Object.entries(properties).filter(([name]) => required.includes(name) || random.next() < 0.4);
  const made = Object.fromEntries(present.map(([name, of]) => [name, madeOf(of, random)]));
  return random.next() < 0.05 ? { ...made, [awkward(random).slice(0, 50)]: 1 } : made;
}
