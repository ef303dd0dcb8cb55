import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type Check, fail, ok, reasonOf } from './check.ts';

/** Whether the names that candidates and workers use can be resolved. */
export const dns: Check = {
  id: 'dns',
  means: 'Join links do not open, and workers do not find the orchestrators: no interview starts.',
  run: async ({ config }) => {
    const names = new Set([config.publicUrl, config.workerApiUrl].map((url) => new URL(url).hostname));
    for (const name of names) {
      if (isIP(name.replace(/^\[|\]$/g, ''))) continue;
      const failed = await lookup(name).then(() => undefined, reasonOf);
      if (failed !== undefined)
        return fail(
          `${name} cannot be resolved (${failed}).`,
          `Add the record that Fly names: fly certs setup ${name}. Or correct PUBLIC_URL and WORKER_API_URL.`,
        );
    }
    return ok(`${[...names].join(' and ')} can be resolved.`);
  },
};
