/**
 * Fault injection, the same for every part of the local cloud.
 *
 * Each part documents its fault points (`machines.create`, `realtime.calls`, …) and calls `take(point, attributes)` when it
 * reaches one. A matching rule fires `times` times (default once) and is then removed. The kinds below have the same meaning
 * everywhere; a part documents its `special` faults.
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
  /** A fault of one part, such as `stuck_in_created`. */
  | { kind: 'special'; name: string; value?: unknown };

export interface FaultRule {
  /** Name of the fault point. */
  on: string;
  /** `fired` counts the rule under this name as well. */
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
  /** Removes all rules, or those of one fault point. */
  clear(on?: string): void;
  /** The action to apply at this point now, if any. Counts as one use of the rule. */
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
