import type { Directive } from '@greenroom/shared/protocol/worker-api.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import {
  createShutdown,
  type Shutdown,
  type ShutdownPhase,
  shutdownError,
} from '@greenroom/shared/runtime/shutdown.ts';
import { endingOf, type SessionReason } from '@greenroom/shared/session/reasons.ts';
import { type Conclusion, type ConclusionBox, createConclusion } from './lifecycle/conclusion.ts';

/** Ends this worker's part in a session: it is decided once, whoever asks, and then torn down in phases. */
export interface Ending {
  readonly conclusion: ConclusionBox;
  /** True once the ending is decided. */
  readonly isDecided: boolean;
  /** The session ends for this reason. */
  conclude(reason: SessionReason): void;
  /** Another machine serves the session. */
  fenced(): void;
  /** The session goes on, on another machine. */
  handOver(): void;
  obey(directive: Directive): void;
  /** Shortens the phases that remain. It also applies to a teardown that begins later. */
  hurry(): void;
  /** Resolves when the teardown is complete. */
  readonly done: Promise<Conclusion>;
}

export interface EndingDeps {
  log: Logger;
  phases(conclusion: Conclusion): ShutdownPhase[];
  /** Number of entries that are not stored, for the log. */
  unsaved(): number;
  /**
   * Stops everything that writes, speaks or acts: at once when another machine serves the session, otherwise
   * after the teardown.
   */
  stopAll(): void;
}

/** The most that each remaining phase may take once the teardown is hurried, ms. */
const hurriedMs = 1_000;

export function createEnding({ log, phases, unsaved, stopAll }: EndingDeps): Ending {
  let shutdown: Shutdown | undefined;
  let hurried = false;
  const { promise: done, resolve: finished } = Promise.withResolvers<Conclusion>();

  const tearDown = async (decided: Conclusion) => {
    shutdown = createShutdown(phases(decided), { hurriedMs });
    if (hurried) shutdown.hurry();
    const outcomes = await shutdown.run();
    const error = shutdownError(outcomes);
    for (const { name, tookMs } of outcomes) log.debug({ phase: name, took_ms: Math.round(tookMs) }, 'teardown phase');
    if (error) log.error({ error, count: unsaved() }, 'teardown finished with errors');
    stopAll();
    finished(decided);
  };
  const conclusion = createConclusion((decided) => {
    const why = decided.kind === 'ended' ? { outcome: decided.outcome, reason: decided.reason } : {};
    log.info({ kind: decided.kind, ...why }, 'session concluded');
    void tearDown(decided);
  });
  const fenced = () => {
    log.warn({}, 'fenced: another machine serves the session');
    stopAll();
    conclusion.decide({ kind: 'fenced' });
  };

  return {
    conclusion,
    done,
    get isDecided() {
      return conclusion.value !== undefined;
    },
    conclude: (reason) => void conclusion.decide({ kind: 'ended', ...endingOf(reason) }),
    fenced,
    handOver: () => void conclusion.decide({ kind: 'handed_over' }),
    obey: (directive) => {
      if (directive.kind === 'fenced') fenced();
      if (directive.kind === 'end')
        conclusion.decide({ kind: 'ended', outcome: directive.outcome, reason: directive.reason });
    },
    hurry: () => {
      hurried = true;
      shutdown?.hurry();
    },
  };
}
