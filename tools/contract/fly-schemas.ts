import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';

/** Checks answers against the schemas of Fly's OpenAPI file, of which test/contract/ holds the part that we read. */
const file = path.resolve(import.meta.dirname, '../../test/contract/fly-openapi.json');

export function createFlySchemas(): (name: string, body: unknown) => void {
  const { schemas } = JSON.parse(readFileSync(file, 'utf8').replaceAll('#/components/schemas/', '#/$defs/')) as {
    schemas: Record<string, object>;
  };
  const parsers = new Map<string, z.ZodType>();
  return (name, body) => {
    const definition = { $defs: schemas, $ref: `#/$defs/${name}` };
    const parser = parsers.get(name) ?? z.fromJSONSchema(definition as Parameters<typeof z.fromJSONSchema>[0]);
    parsers.set(name, parser);
    const parsed = parser.safeParse(withoutNulls(body));
    if (parsed.success) return;
    const problems = parsed.error.issues.slice(0, 3).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new Error(`the answer is no ${name} of the OpenAPI file: ${problems.join('; ')}`);
  };
}

/** Go writes null for what is absent; the OpenAPI file has no null anywhere. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, field]) => field !== null);
  return Object.fromEntries(kept.map(([name, field]) => [name, withoutNulls(field)]));
}
