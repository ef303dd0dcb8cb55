/**
 * Creates a value that satisfies a JSON schema, always the same one.
 *
 * It supports the subset that structured output allows (objects with all fields required, arrays, enums,
 * anyOf, $ref, numeric and length bounds). `say` may supply the content of a string or number by the name of
 * its property; otherwise a plain value is used.
 */
export interface Place {
  /** Names of the properties from the root to here; array elements add nothing. */
  path: string[];
  /** Index within the nearest array. */
  index: number;
}

export type Say = (place: Place, schema: Schema) => string | number | undefined;

export type Schema = Record<string, unknown>;

const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null;

/** @param root the schema, which also resolves `$ref`. */
export function fillSchema(root: unknown, say: Say = () => undefined): unknown {
  const fill = (given: unknown, place: Place): unknown => {
    const schema = resolve(root, given);
    if (!isSchema(schema)) return null;
    if ('const' in schema) return schema.const;
    if (Array.isArray(schema.enum)) return pick(schema.enum, place.index);
    const choices = schema.anyOf ?? schema.oneOf;
    if (Array.isArray(choices)) return fill(choices.find((choice) => typeOf(choice) !== 'null') ?? choices[0], place);
    if (Array.isArray(schema.allOf))
      return fill(Object.assign({}, schema, { allOf: undefined }, ...schema.allOf), place);
    return byType[typeOf(schema)]?.(schema, place) ?? null;
  };

  const fillObject = (schema: Schema, place: Place) => {
    const properties = isSchema(schema.properties) ? schema.properties : {};
    const entries = Object.entries(properties);
    return Object.fromEntries(
      entries.map(([name, property]) => [name, fill(property, { path: [...place.path, name], index: place.index })]),
    );
  };

  const fillArray = (schema: Schema, place: Place) => {
    const length = lengthOf(schema, enumInside(root, schema.items));
    return Array.from({ length }, (_, index) => fill(schema.items, { path: place.path, index }));
  };

  const byType: Record<string, (schema: Schema, place: Place) => unknown> = {
    object: fillObject,
    array: fillArray,
    string: (schema, place) => fillString(schema, say(place, schema)),
    number: (schema, place) => fillNumber(schema, say(place, schema)),
    integer: (schema, place) => Math.round(fillNumber(schema, say(place, schema))),
    boolean: () => true,
    null: () => null,
  };
  return fill(root, { path: [], index: 0 });
}

function resolve(root: unknown, schema: unknown): unknown {
  if (!isSchema(schema) || typeof schema.$ref !== 'string') return schema;
  const steps = schema.$ref.replace(/^#\/?/, '').split('/').filter(Boolean);
  return resolve(
    root,
    steps.reduce<unknown>((at, step) => (isSchema(at) ? at[step] : undefined), root),
  );
}

function typeOf(schema: unknown): string {
  if (!isSchema(schema)) return 'null';
  const type = Array.isArray(schema.type) ? schema.type.find((name) => name !== 'null') : schema.type;
  if (typeof type === 'string') return type;
  return 'properties' in schema ? 'object' : 'items' in schema ? 'array' : 'string';
}

const pick = (values: unknown[], index: number) => values[index % values.length];
const bound = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

/**
 * One element per value of an enum inside the element (for example each criterion), otherwise two, within the
 * bounds.
 */
function lengthOf(schema: Schema, enumSize: number | undefined): number {
  const wanted = enumSize ?? 2;
  return Math.min(Math.max(wanted, bound(schema.minItems) ?? 0), bound(schema.maxItems) ?? Number.POSITIVE_INFINITY);
}

function enumInside(root: unknown, items: unknown): number | undefined {
  const schema = resolve(root, items);
  if (!isSchema(schema)) return undefined;
  if (Array.isArray(schema.enum)) return schema.enum.length;
  const properties = isSchema(schema.properties) ? Object.values(schema.properties) : [];
  const lists = properties.map((property) => resolve(root, property)).filter(isSchema);
  return lists.map((property) => (Array.isArray(property.enum) ? property.enum.length : undefined)).find(Boolean);
}

const formats: Record<string, string> = {
  'date-time': '2026-01-01T09:00:00Z',
  date: '2026-01-01',
  email: 'someone@example.com',
  uuid: '00000000-0000-4000-8000-000000000000',
  uri: 'https://example.com/',
};

function fillString(schema: Schema, said: string | number | undefined): string {
  const known = typeof schema.format === 'string' ? formats[schema.format] : undefined;
  const text = known ?? String(said ?? 'text');
  const long = text.padEnd(bound(schema.minLength) ?? 0, '.');
  return long.slice(0, bound(schema.maxLength) ?? long.length);
}

function fillNumber(schema: Schema, said: string | number | undefined): number {
  const least = bound(schema.minimum) ?? (bound(schema.exclusiveMinimum) ?? -1) + 1;
  const most = bound(schema.maximum) ?? (bound(schema.exclusiveMaximum) ?? least + 6) - 1;
  if (typeof said === 'number') return Math.min(Math.max(said, least), most);
  // Three quarters of the range, so that it is at neither end.
  const value = least + (most - least) * 0.75;
  return most - least > 2 ? Math.round(value) : value;
}
