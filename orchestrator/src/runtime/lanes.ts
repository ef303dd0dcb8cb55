/**
 * Runs tasks of many parties so that none can block the others. Each party has a lane.
 *
 * - At most `perLane` tasks of one party and `total` tasks of all run at once. A party whose tasks hang blocks only itself, as
 *   long as `perLane` is smaller than `total`.
 * - Free places go to the lanes in turn, one task each: a party with a thousand tasks does not delay another party's first.
 */
export interface Lanes {
  /** Runs the task when its lane and the total have room. Resolves with its result. */
  add<T>(lane: string, task: () => Promise<T>): Promise<T>;
  /** Resolves when no task runs or waits. */
  idle(): Promise<void>;
}

export interface LanesOptions {
  total: number;
  perLane: number;
}

interface Lane {
  waiting: Array<() => Promise<void>>;
  running: number;
  /** Number of its last turn. 0: none yet. */
  turn: number;
}

export function createLanes({ total, perLane }: LanesOptions): Lanes {
  const lanes = new Map<string, Lane>();
  let running = 0;
  let turns = 0;
  let whenIdle: Array<() => void> = [];

  /** The lane that may start a task and whose last turn is longest ago. */
  const nextLane = (): [string, Lane] | undefined => {
    let next: [string, Lane] | undefined;
    for (const entry of lanes) {
      const [, { waiting, running: mine, turn }] = entry;
      if (waiting.length > 0 && mine < perLane && turn < (next?.[1].turn ?? Number.POSITIVE_INFINITY)) next = entry;
    }
    return next;
  };

  const done = (name: string, lane: Lane): void => {
    running -= 1;
    lane.running -= 1;
    if (lane.running === 0 && lane.waiting.length === 0) lanes.delete(name);
    start();
    if (lanes.size > 0) return;
    for (const resolve of whenIdle) resolve();
    whenIdle = [];
  };

  const start = (): void => {
    while (running < total) {
      const found = nextLane();
      if (found === undefined) return;
      const [name, lane] = found;
      turns += 1;
      lane.turn = turns;
      running += 1;
      lane.running += 1;
      void (lane.waiting.shift() as () => Promise<void>)().finally(() => done(name, lane));
    }
  };

  return {
    add: (name, task) =>
      new Promise((resolve, reject) => {
        const lane = lanes.get(name) ?? { waiting: [], running: 0, turn: 0 };
        lanes.set(name, lane);
        lane.waiting.push(() => Promise.resolve().then(task).then(resolve, reject));
        start();
      }),
    idle: () => (lanes.size === 0 ? Promise.resolve() : new Promise((resolve) => whenIdle.push(resolve))),
  };
}
