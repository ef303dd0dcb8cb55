/**
 * Work for many parties, none of which can use up what all share: each party has a lane.
 *
 * N1  No more than `perLane` of one party's tasks run at once, and no more than `total` of all: a party whose tasks hang
 *     holds up only itself as long as it cannot fill `total` alone.
 * N2  Free places go to the lanes in turn, one task each: a party with a thousand tasks does not make another wait behind
 *     them.
 */
export interface Lanes {
  /** Runs the task when its lane and the whole have room; answers what it answers. */
  add<T>(lane: string, task: () => Promise<T>): Promise<T>;
  /** Resolves when nothing runs and nothing waits. */
  idle(): Promise<void>;
}

export interface LanesOptions {
  total: number;
  perLane: number;
}

interface Lane {
  waiting: Array<() => Promise<void>>;
  running: number;
  /** When it had its last turn, counted in turns; 0: not yet. */
  turn: number;
}

export function createLanes({ total, perLane }: LanesOptions): Lanes {
  const lanes = new Map<string, Lane>();
  let running = 0;
  let turns = 0;
  let whenIdle: Array<() => void> = [];

  /** N2: of those that may begin a task, the one whose last turn is longest ago. */
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
