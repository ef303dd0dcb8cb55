import { CliError } from '../console.ts';
import { createRegistryClient, parseReference } from '../deploy/registry.ts';
import { type Check, fail, ok } from './check.ts';

/** Whether our token can pull the worker's image. Fly pulls it with the organisation's own rights. */
export const workerImage: Check = {
  id: 'worker-image',
  means: 'No machine can be created: sessions stay pending and fail.',
  run: async ({ config: { fly } }) => {
    const image = parseReference(fly.workerImage);
    const registry = createRegistryClient(fly.token, () => undefined);
    try {
      await registry.digestOf(image);
      return ok(`${image.registry}/${image.repository} has ${image.reference.slice(0, 19)}….`);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      const again = 'greenroom deploy worker --build, then set WORKER_IMAGE to what it prints.';
      return fail(
        error.message,
        error.code === 'registry_away' ? 'Wait for the registry: https://status.fly.io' : again,
      );
    }
  },
};
