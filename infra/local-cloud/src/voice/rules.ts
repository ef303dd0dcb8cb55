/**
 * Small rules for JSON values that refuse with the provider's own texts: an unknown field, an unsupported
 * value, a wrong type. The first problem found is the answer, as with the real provider.
 */
export interface Problem {
  message: string;
  code: 'unknown_parameter' | 'invalid_value' | 'invalid_type';
  param: string;
}

/** @param at the value's path, e.g. `session.audio.output.voice`. */
export type Rule = (value: unknown, at: string) => Problem | undefined;

type Fields = Record<string, unknown>;

const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const wrongType = (at: string, wanted: string): Problem => ({
  message: `Invalid type for '${at}': expected ${wanted}.`,
  code: 'invalid_type',
  param: at,
});

/** Accepts any value. */
export const anything: Rule = () => undefined;
export const text: Rule = (value, at) => (typeof value === 'string' ? undefined : wrongType(at, 'a string'));
export const flag: Rule = (value, at) => (typeof value === 'boolean' ? undefined : wrongType(at, 'a boolean'));

export const number =
  (least: number, most: number): Rule =>
  (value, at) => {
    if (typeof value !== 'number') return wrongType(at, 'a number');
    if (value >= least && value <= most) return undefined;
    return { message: `Invalid '${at}': must be from ${least} to ${most}.`, code: 'invalid_value', param: at };
  };

export const oneOf =
  (...values: unknown[]): Rule =>
  (value, at) => {
    if (values.includes(value)) return undefined;
    const supported = values.map((one) => `'${String(one)}'`).join(', ');
    const message = `Invalid value: '${String(value)}'. Supported values are: ${supported}.`;
    return { message, code: 'invalid_value', param: at };
  };

export const matching =
  (shape: RegExp, wanted: string): Rule =>
  (value, at) =>
    typeof value === 'string' && shape.test(value)
      ? undefined
      : { message: `Invalid '${at}': expected ${wanted}.`, code: 'invalid_value', param: at };

export const orNull =
  (rule: Rule): Rule =>
  (value, at) =>
    value === null ? undefined : rule(value, at);

/** When all rules refuse, the last one's problem is the answer. */
export const anyOf =
  (...rules: [Rule, ...Rule[]]): Rule =>
  (value, at) => {
    const problems = rules.map((rule) => rule(value, at));
    return problems.includes(undefined) ? undefined : problems.at(-1);
  };

export const listOf =
  (rule: Rule): Rule =>
  (value, at) => {
    if (!Array.isArray(value)) return wrongType(at, 'an array');
    return first(value.map((one, index) => () => rule(one, `${at}[${index}]`)));
  };

/** An object with only these fields; each may be left out. */
export const fields =
  (rules: Record<string, Rule>): Rule =>
  (value, at) => {
    if (!isObject(value)) return wrongType(at, 'an object');
    return first(
      Object.entries(value).map(([name, one]) => () => {
        const [path, rule] = [at === '' ? name : `${at}.${name}`, rules[name]];
        if (!rule) return { message: `Unknown parameter: '${path}'.`, code: 'unknown_parameter', param: path };
        return one === undefined ? undefined : rule(one, path);
      }),
    );
  };

/** The first problem that one of the checks finds. */
export function first(looks: Array<() => Problem | undefined>): Problem | undefined {
  for (const look of looks) {
    const problem = look();
    if (problem) return problem;
  }
  return undefined;
}
