import { deploymentMark } from '../../src/tenants/onboarding.ts';
import { createFlyAdmin } from '../deploy/fly-admin.ts';
import { machineOfOtherStack } from '../deploy/other-stack.ts';
import { type Check, fail, ok } from './check.ts';

/** Whether another stack of the organisation, with another database, has the same DEPLOYMENT_ID. */
export const deploymentId: Check = {
  id: 'deployment-id',
  means: "Two stacks end each other's machines: live interviews break off.",
  run: async ({ config }) => {
    const fly = createFlyAdmin(config.fly);
    try {
      const mark = deploymentMark(config.deploymentId, config.supabase.url);
      const machine = machineOfOtherStack(await fly.ofOrganisation(config.fly.org), {
        deploymentId: config.deploymentId,
        mark,
      });
      if (machine === undefined) return ok(`No other stack of the organisation is called ${config.deploymentId}.`);
      return fail(
        `DEPLOYMENT_ID ${config.deploymentId} is in use by another stack: machine ${machine.id} of app ${machine.app}.`,
        'Set another DEPLOYMENT_ID for the newer stack, or take the other one down.',
      );
    } finally {
      await fly.close();
    }
  },
};
