import type { FastifyPluginAsync } from 'fastify';
import type { OperatorAccess } from '../../access/operators.ts';
import type { RecordAudit } from '../../database/audit-store.ts';
import type { OperatorStore } from '../../database/operator-store.ts';
import { createMachineStopper, type StopMachinesDeps } from '../../fleet/stop-machines.ts';
import type { FlyClient } from '../../fly/client.ts';
import type { Rates } from '../reading/rates.ts';
import { addAct } from './act.ts';
import { endSession } from './end-session.ts';
import { releaseBrake } from './release-brake.ts';
import { replayDelivery, retryWork } from './retry-work.ts';
import { setPool } from './set-pool.ts';
import { type SetRegionDeps, setRegion } from './set-region.ts';
import { stopMachine } from './stop-machine.ts';

/** The acts of operators: one file each. */
export interface ActsDeps extends StopMachinesDeps, Pick<SetRegionDeps, 'clock'> {
  access: OperatorAccess;
  store: OperatorStore;
  fly: Pick<FlyClient, 'stop'>;
  rates: Rates;
  audit: RecordAudit;
  refreshDrains: () => Promise<void>;
  onChange: (sessionId: string) => void;
}

export const actRoutes =
  (deps: ActsDeps): FastifyPluginAsync =>
  async (app) => {
    const { access, refreshDrains: refresh } = deps;
    const all = { ...deps, stopMachines: createMachineStopper(deps), refresh };
    addAct(app, access, endSession(all));
    addAct(app, access, stopMachine(all));
    addAct(app, access, setRegion(all));
    addAct(app, access, setPool(all));
    addAct(app, access, releaseBrake(all));
    addAct(app, access, retryWork(all));
    addAct(app, access, replayDelivery(all));
  };
