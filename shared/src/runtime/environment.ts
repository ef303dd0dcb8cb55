import * as z from 'zod';
import { type Deadlines, deadlineVariable, defaultDeadlines } from '../session/deadlines.ts';

/** A URL without trailing slashes, so that a path can be appended. */
export function withoutEndSlashes(url: string): string {
  let end = url.length;
  while (url[end - 1] === '/') end -= 1;
  return url.slice(0, end);
}

/** The environment is not usable. The message names each variable to set, and how. */
export class ConfigError extends Error {
  constructor(lines: string[]) {
    super(`The configuration is not usable:\n${lines.map((line) => `  ${line}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

/** Parses an environment. An empty variable counts as unset. Throws a ConfigError that names every wrong variable. */
export function parseEnvironment<T extends z.ZodType>(
  schema: T,
  environment: Record<string, string | undefined>,
): z.output<T> {
  const set = Object.fromEntries(
    Object.entries(environment).filter(([, value]) => value !== undefined && value !== ''),
  );
  const result = schema.safeParse(set);
  if (result.success) return result.data;
  throw new ConfigError(
    result.error.issues.map((issue) => {
      const name = issue.path.map(String).join('.');
      if (set[name] !== undefined) return `${name} is wrong: ${issue.message}`;
      // zod's message for a missing value ("expected string, received undefined") does not help an operator.
      return issue.message.startsWith('Invalid input') ? `set ${name}` : `set ${name}: ${issue.message}`;
    }),
  );
}

/** An environment variable and its schema. */
type Variable = readonly [name: string, schema: z.ZodType];

/** Settings by their name in the configuration; they may be grouped. */
export interface Settings {
  readonly [name: string]: Variable | Settings;
}

/** The configuration that results from these settings. */
export type ValuesOf<S> = {
  readonly [K in keyof S]: S[K] extends readonly [string, infer T extends z.ZodType] ? z.output<T> : ValuesOf<S[K]>;
};

const isVariable = (entry: Variable | Settings): entry is Variable => Array.isArray(entry);

/** Every variable of the settings. */
export const variablesOf = (settings: Settings): Variable[] =>
  Object.values(settings).flatMap((entry) => (isVariable(entry) ? [entry] : variablesOf(entry)));

const pick = (settings: Settings, parsed: Record<string, unknown>): object =>
  Object.fromEntries(
    Object.entries(settings).map(([name, entry]) => [name, isVariable(entry) ? parsed[entry[0]] : pick(entry, parsed)]),
  );

/**
 * Reads the settings from an environment. Throws ConfigError naming every wrong variable.
 * @param contradictions checks across several variables: returns the variables to change, each with how
 */
export function readSettings<S extends Settings>(
  settings: S,
  environment: Record<string, string | undefined>,
  contradictions: (values: ValuesOf<S>) => Array<[variable: string, message: string]> = () => [],
): ValuesOf<S> {
  const valuesOf = (parsed: Record<string, unknown>) => pick(settings, parsed) as ValuesOf<S>;
  const schema = z.object(Object.fromEntries(variablesOf(settings))).superRefine((parsed, context) => {
    for (const [variable, message] of contradictions(valuesOf(parsed)))
      context.addIssue({ code: 'custom', path: [variable], message });
  });
  return valuesOf(parseEnvironment(schema, environment));
}

const milliseconds = z.coerce.number().int().min(1).max(604_800_000);

/** Reads the deadlines: defaults, each overridable by its variable (see `deadlineVariable`). */
export function parseDeadlines(environment: Record<string, string | undefined>): Deadlines {
  const shape = Object.fromEntries(
    Object.entries(defaultDeadlines).map(([name, value]) => [deadlineVariable(name), milliseconds.default(value)]),
  );
  const parsed = parseEnvironment(z.object(shape), environment) as Record<string, number>;
  return Object.fromEntries(
    Object.keys(defaultDeadlines).map((name) => [name, parsed[deadlineVariable(name)]]),
  ) as unknown as Deadlines;
}
