import * as z from 'zod';
import { type Deadlines, deadlineVariable, defaultDeadlines } from '../session/deadlines.ts';

/** A URL without the slashes at its end, so that a path can be put behind it. */
export function withoutEndSlashes(url: string): string {
  let end = url.length;
  while (url[end - 1] === '/') end -= 1;
  return url.slice(0, end);
}

/** A process that cannot start because of its environment says which variable to set, and how. */
export class ConfigError extends Error {
  constructor(lines: string[]) {
    super(`The configuration is not usable:\n${lines.map((line) => `  ${line}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

/** Parses an environment; an empty variable counts as unset. Throws ConfigError naming every wrong variable. */
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
      // zod's own word for what is not there ("expected string, received undefined") says nothing to an operator.
      return issue.message.startsWith('Invalid input') ? `set ${name}` : `set ${name}: ${issue.message}`;
    }),
  );
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
