import { Session } from 'node:inspector';

/**
 * Says once a second how long the event loop of this process was held and how much memory it has. Import it before the program.
 *
 * Counted is the processor's time of the event loop's own thread: a machine that is busy with something else, and other
 * threads of the process, hold nothing. What happens in the first seconds is the program's start, and is not counted.
 *
 * With FUZZ_PROFILE=1 it also says in which functions the loop was when it was held for long. That slows the process down.
 */
export interface Said {
  /** `FUZZ_WATCH`: what the process is. */
  of: string;
  pid: number;
  heldMs: number;
  rssBytes: number;
  /** Where the loop was held longest, innermost function first. */
  heldIn?: string[];
}

const sampleMs = 5;
const sayMs = 1_000;
const startS = 3;
/** Longer than this is looked into. */
const longMs = 40;

let last = process.threadCpuUsage();
let lastMs = performance.now();
/** A new sample begins: what the profiler itself took is not counted. */
const begin = () => {
  last = process.threadCpuUsage();
  lastMs = performance.now();
};

const profiler = process.env.FUZZ_PROFILE === '1' ? new Session() : undefined;
const startProfile = () => void profiler?.post('Profiler.start');
if (profiler) {
  profiler.connect();
  profiler.post('Profiler.enable');
  profiler.post('Profiler.setSamplingInterval', { interval: 1_000 });
  startProfile();
  // A short profile is stopped quickly.
  setInterval(() => {
    profiler.post('Profiler.stop');
    startProfile();
    begin();
  }, 2_000).unref();
}

/** The functions that the last `ms` were spent in, most time first. */
function functionsOf(ms: number): string[] {
  let found: string[] = [];
  profiler?.post('Profiler.stop', (_error, answer) => {
    const { nodes, samples = [], timeDeltas = [], endTime } = answer.profile;
    const byId = new Map(nodes.map((node) => [node.id, node]));
    const spent = new Map<string, number>();
    let atUs = endTime;
    for (let n = samples.length - 1; n >= 0 && endTime - atUs < ms * 1_000; n -= 1) {
      const { functionName, url, lineNumber } = byId.get(samples[n] as number)?.callFrame ?? {};
      const name = `${functionName || '(anonymous)'} ${(url ?? '').split('/').slice(-3).join('/')}:${lineNumber}`;
      spent.set(name, (spent.get(name) ?? 0) + (timeDeltas[n] ?? 0));
      atUs -= timeDeltas[n] ?? 0;
    }
    found = [...spent]
      .toSorted(([, a], [, b]) => b - a)
      .slice(0, 6)
      .map(([name, us]) => `${Math.round(us / 1_000)} ms ${name}`);
  });
  startProfile();
  return found;
}

let said: Pick<Said, 'heldMs' | 'heldIn'> = { heldMs: 0 };
setInterval(() => {
  const used = process.threadCpuUsage(last);
  const heldMs = Math.min(performance.now() - lastMs, (used.user + used.system) / 1_000) - sampleMs;
  if (heldMs > said.heldMs && process.uptime() > startS)
    said = { heldMs, ...(profiler && heldMs > longMs ? { heldIn: functionsOf(heldMs + sampleMs) } : {}) };
  begin();
}, sampleMs).unref();

setInterval(() => {
  const all: Said = {
    of: process.env.FUZZ_WATCH ?? 'process',
    pid: process.pid,
    rssBytes: process.memoryUsage.rss(),
    ...said,
  };
  process.stdout.write(`${JSON.stringify({ fuzz: all })}\n`);
  said = { heldMs: 0 };
}, sayMs).unref();
