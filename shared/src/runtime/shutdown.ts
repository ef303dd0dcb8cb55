/**
 * Shutdown in named phases.
 *
 * - Phases run in order, each with its own time limit. A phase that fails or exceeds its limit does not stop the next one.
 * - All errors are collected and reported together, named by phase.
 * - `hurry` (a second signal) aborts the current phase and limits each later one to `hurriedMs`.
 */
export interface ShutdownPhase {
  name: string;
  limitMs: number;
  run(signal: AbortSignal): Promise<void> | void;
}

export interface PhaseReport {
  name: string;
  tookMs: number;
  error?: Error;
}

export interface Shutdown {
  /** Runs the phases once; later calls get the same result. Never rejects. */
  run(): Promise<PhaseReport[]>;
  /** Aborts the current phase and limits the later ones to `hurriedMs`. */
  hurry(): void;
}

export function createShutdown(phases: ShutdownPhase[], options: { hurriedMs?: number } = {}): Shutdown {
  let running: Promise<PhaseReport[]> | undefined;
  let hurried = false;
  let current: AbortController | undefined;

  const runPhase = async (phase: ShutdownPhase): Promise<PhaseReport> => {
    const startedMs = performance.now();
    const controller = new AbortController();
    current = controller;
    const limitMs = hurried ? Math.min(phase.limitMs, options.hurriedMs ?? 1_000) : phase.limitMs;
    const timer = setTimeout(
      () => controller.abort(new Error(`${phase.name}: not done within ${limitMs} ms`)),
      limitMs,
    );
    const aborted = new Promise<never>((_, reject) =>
      controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error), { once: true }),
    );
    aborted.catch(() => undefined);
    try {
      await Promise.race([Promise.resolve().then(() => phase.run(controller.signal)), aborted]);
      return { name: phase.name, tookMs: performance.now() - startedMs };
    } catch (error) {
      return { name: phase.name, tookMs: performance.now() - startedMs, error: error as Error };
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    run: () => {
      running ??= (async () => {
        const reports: PhaseReport[] = [];
        for (const phase of phases) reports.push(await runPhase(phase));
        return reports;
      })();
      return running;
    },
    hurry: () => {
      hurried = true;
      current?.abort(new Error('hurried by a second signal'));
    },
  };
}

/** All errors of a shutdown as one error; undefined if there were none. */
export function shutdownError(reports: PhaseReport[]): AggregateError | undefined {
  const errors = reports.flatMap((r) => (r.error ? [new Error(r.name, { cause: r.error })] : []));
  return errors.length > 0
    ? new AggregateError(errors, `shutdown: ${errors.map((e) => e.message).join(', ')}`)
    : undefined;
}
