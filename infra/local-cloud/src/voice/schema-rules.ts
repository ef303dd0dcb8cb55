/**
 * The subset of JSON Schema that strict structured output accepts, by OpenAI's guide: every object closed
 * with all its properties required, no composition but `anyOf`, limited in size. Any other schema is answered
 * with 400 `invalid_json_schema`.
 */
type Schema = Record<string, unknown>;

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const refusedKeywords = [
  'allOf',
  'oneOf',
  'not',
  'if',
  'then',
  'else',
  'dependentRequired',
  'dependentSchemas',
  'patternProperties',
  'propertyNames',
  'unevaluatedProperties',
  'contains',
  'uniqueItems',
];
const maxDepth = 10;
const maxProperties = 5_000;

/** What is wrong with a strict schema, or undefined. */
export function strictSchemaProblem(root: unknown): string | undefined {
  if (!isSchema(root) || root.type !== 'object' || 'anyOf' in root)
    return `schema must be a JSON Schema of 'type: "object"', got 'type: "${String(isSchema(root) ? root.type : root)}"'.`;
  let properties = 0;
  const look = (schema: unknown, at: string[], depth: number): string | undefined => {
    const where = `In context=(${at.map((step) => `'${step}'`).join(', ')}), `;
    if (!isSchema(schema)) return undefined;
    if (depth > maxDepth) return `${where}the schema is nested deeper than ${maxDepth} levels.`;
    const refused = refusedKeywords.find((keyword) => keyword in schema);
    if (refused) return `${where}'${refused}' is not permitted.`;
    const objects = objectProblem(schema);
    if (objects) return where + objects;
    const inner = Object.entries(isSchema(schema.properties) ? schema.properties : {});
    properties += inner.length;
    if (properties > maxProperties) return `the schema has more than ${maxProperties} properties.`;
    const children: Array<[string[], unknown, number]> = [
      ...inner.map(([name, one]): [string[], unknown, number] => [['properties', name], one, 1]),
      ...Object.entries(isSchema(schema.$defs) ? schema.$defs : {}).map(([name, one]): [string[], unknown, number] => [
        ['$defs', name],
        one,
        0,
      ]),
      ...(Array.isArray(schema.anyOf) ? schema.anyOf : []).map((one, index): [string[], unknown, number] => [
        ['anyOf', String(index)],
        one,
        0,
      ]),
      [['items'], schema.items, 1],
    ];
    for (const [path, one, deeper] of children) {
      const problem = look(one, [...at, ...path], depth + deeper);
      if (problem) return problem;
    }
    return undefined;
  };
  return look(root, [], 1);
}

function objectProblem(schema: Schema): string | undefined {
  if (schema.type !== 'object' && !isSchema(schema.properties)) return undefined;
  if (schema.additionalProperties !== false)
    return "'additionalProperties' is required to be supplied and to be false.";
  const required = Array.isArray(schema.required) ? schema.required : [];
  const missing = Object.keys(isSchema(schema.properties) ? schema.properties : {}).find(
    (name) => !required.includes(name),
  );
  if (missing === undefined) return undefined;
  return `'required' is required to be supplied and to be an array including every key in properties. Missing '${missing}'.`;
}
