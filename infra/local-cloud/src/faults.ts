/**
 * Faults on cue, one mechanism for every part of the local cloud.
 *
 * A part names its fault points (`machines.create`, `realtime.calls`, …) and asks `take(point, attributes)` when it
 * passes one. A rule that matches is used up `times` times (default once), then forgotten. What an action means at a
 * point is the part's own business; the kinds below mean the same everywhere.
 */
export type FaultAction =
  /** Answer with this status and body instead of doing the work. */
  | { kind: 'status'; status: number; body?: unknown; headers?: Record<string, string> }
  /** Do the work, but only after this long. */
  | { kind: 'delay'; delayMs: number }
  /** Never answer (the connection stays open until the caller gives up or the part stops). */
  | { kind: 'hang' }
  /** Cut the connection before the work is done: no side effect. */
  | { kind: 'drop_before' }
  /** Do the work, then cut the connection: the side effect stays, the reply is lost. */
  | { kind: 'drop_after' }
  /** Anything special to one part, such as `stuck_in_created`; the part documents its names. */
  | { kind: 'special'; name: string; value?: unknown };

export interface FaultRule {
  /** Name of the fault point. */
  on: string;
  /** Counted in `fired` under this name too. */
  name?: string;
  action: FaultAction;
  /** How many times the rule fires. Default 1; `Infinity` until cleared. */
  times?: number;
  /** Chance of firing at each pass, 0–1. Default 1. */
  probability?: number;
  /** Every named attribute must be equal for the rule to match, e.g. `{ region: 'fra' }`. */
  match?: Record<string, string>;
}

export interface Faults {
  add(rule: FaultRule): void;
  /** Forgets all rules, or those of one fault point. */
  clear(on?: string): void;
  /** The action to suffer at this point now, if any; uses the rule up. */
  take(on: string, attributes?: Record<string, string>): FaultAction | undefined;
  /** How often each point, and each named rule, has fired, for reports. */
  readonly fired: Readonly<Record<string, number>>;
}

/** @param random a source of numbers in [0, 1); pass a seeded one to replay a campaign. */
export function createFaults(random: () => number = Math.random): Faults {
  let rules: Array<FaultRule & { left: number }> = [];
  const fired: Record<string, number> = {};
  const count = (what: string) => {
    fired[what] = (fired[what] ?? 0) + 1;
  };
  const matches = (rule: FaultRule, on: string, attributes: Record<string, string>) =>
    rule.on === on && Object.entries(rule.match ?? {}).every(([name, value]) => attributes[name] === value);
  return {
    fired,
    add: (rule) => void rules.push({ ...rule, left: rule.times ?? 1 }),
    clear: (on) => {
      rules = on === undefined ? [] : rules.filter((rule) => rule.on !== on);
    },
    take: (on, attributes = {}) => {
      const rule = rules.find((r) => matches(r, on, attributes) && random() < (r.probability ?? 1));
      if (!rule) return undefined;
      rule.left -= 1;
      if (rule.left <= 0) rules = rules.filter((r) => r !== rule);
      count(on);
      if (rule.name !== undefined) count(rule.name);
      return rule.action;
    },
  };
}
