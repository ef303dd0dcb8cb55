import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { uuid } from '@greenroom/shared/protocol/common.ts';
import { type SimulationScript, simulationScripts, simulationView } from '@greenroom/shared/protocol/test-mode.ts';
import { z } from 'zod';

/** Simulated candidates of test sessions, taken by lease. Throws DatabaseError; refusals are values. */
const takenSimulation = z.object({
  session_id: uuid,
  tenant_id: uuid,
  script: z.enum(simulationScripts),
  /** Fencing number. A report with an older one changes nothing. */
  take: z.number().int(),
  /** The script has cut the network before. */
  was_cut: z.boolean(),
});
export type TakenSimulation = z.output<typeof takenSimulation>;
type TakeOf = Pick<TakenSimulation, 'session_id' | 'take'>;

const planned = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['planned', 'known', 'other_script']), simulation: simulationView }),
  z.object({ kind: z.enum(['ended', 'not_test', 'not_found']) }),
]);

export type SimulationStore = ReturnType<typeof createSimulationStore>;

export function createSimulationStore(database: Database) {
  const call = callerOf(database);
  return {
    plan: (sessionId: string, tenantId: string, script: SimulationScript) =>
      call('plan_simulation', { p_session_id: sessionId, p_tenant_id: tenantId, p_script: script }, planned),
    get: (sessionId: string, tenantId: string) =>
      call('get_simulation', { p_session_id: sessionId, p_tenant_id: tenantId }, simulationView.nullable()),
    take: (takenMs: number, limit: number): Promise<TakenSimulation[]> =>
      call('take_simulations', { p_taken_ms: takenMs, p_limit: limit }, z.array(takenSimulation)),
    /** Renews a take; with `takenMs` 0 another orchestrator may take it at once. False if the take is stale. */
    keep: ({ session_id, take }: TakeOf, takenMs: number, cut = false) =>
      call('keep_simulation', { p_session_id: session_id, p_take: take, p_taken_ms: takenMs, p_cut: cut }, z.boolean()),
    /** @param failure why it failed. Default: it did not. */
    end: ({ session_id, take }: TakeOf, failure?: string) =>
      call('end_simulation', { p_session_id: session_id, p_take: take, p_failure: failure ?? null }, z.boolean()),
  };
}
