import { ask, type Check, fail, ok, unknown, warn } from './check.ts';

const warnMs = 2_000;
const failMs = 30_000;

/** Compares this clock with the `Date` of the answers of Fly and Supabase. They have a resolution of a second. */
export const clock: Check = {
  id: 'clock',
  means: 'Tokens count as expired or not yet valid: joining fails at random.',
  run: async ({ config, now }) => {
    const sentMs = now();
    const urls = [`${config.fly.apiUrl}/v1/platform/regions`, `${config.supabase.url}/auth/v1/.well-known/jwks.json`];
    const dates = (await Promise.all(urls.map((url) => ask(url)))).map(({ headers }) => headers.get('date'));
    const took = now() - sentMs;
    const apart = dates.flatMap((date) => (date === null ? [] : [Math.abs(Date.parse(date) - sentMs)]));
    if (apart.length === 0) return unknown('No service answered with its time.', 'Correct the failed checks first.');
    const offMs = Math.max(0, Math.min(...apart) - took - 1_000);
    const detail = `This clock differs by ${Math.round(offMs / 1_000)} s from that of the services.`;
    const fix = 'Synchronise the clock of this machine: timedatectl set-ntp true';
    if (offMs >= failMs) return fail(detail, fix);
    return offMs >= warnMs ? warn(detail, fix) : ok(detail);
  },
};
