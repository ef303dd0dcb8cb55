import { z } from 'zod';

/**
 * Query strings. `name=a&name=b` is a list, and `name[key]=value` an object of one level: the forms `form` and
 * `deepObject` of OpenAPI.
 */
const maxValues = 20;

/** A parameter that may be repeated. */
export const several = <Item extends z.ZodType>(item: Item) =>
  z.preprocess((given) => (given === undefined ? undefined : [given].flat()), z.array(item).min(1).max(maxValues));

type Parsed = Record<string, string | string[] | Record<string, string>>;

const inBrackets = /^([a-z_]{1,40})\[([^\]]{1,200})\]$/;

/** Objects without a prototype: a key such as `__proto__` is a key like any other. */
export function parseQuery(text: string): Parsed {
  const parsed: Parsed = Object.create(null);
  for (const [name, value] of new URLSearchParams(text)) {
    const [, outer, key] = inBrackets.exec(name) ?? [];
    if (outer !== undefined && key !== undefined) {
      const held = parsed[outer];
      const inner = typeof held === 'object' && !Array.isArray(held) ? held : Object.create(null);
      inner[key] = value;
      parsed[outer] = inner;
    } else {
      const held = parsed[name];
      parsed[name] = typeof held === 'string' ? [held, value] : Array.isArray(held) ? [...held, value] : value;
    }
  }
  return parsed;
}
