import { parseArgs } from 'node:util';

/** The options of `npm run demo`. */
export interface DemoOptions {
  json: boolean;
  headed: boolean;
  region: string;
  turns: number;
  /** How long the interviewer speaks per turn, ms. */
  paceMs: number;
  /** 2: interviews of two tenants side by side; each tenant's credentials are tried on everything of the other. */
  tenants: 1 | 2;
  /** Run the worker from the image's own file tree. */
  image: boolean;
  /** Begin without a hot machine: one is created for the session. */
  cold: boolean;
}

export const usage = `npm run demo -- [--region CODE] [--turns N] [--pace MS] [--tenants 1|2] [--cold] [--image] [--headed] [--json]

Runs one whole interview on the local cloud: an API call, a machine, a call, a transcript, and nothing left.
A hot machine waits before the call is made, so the session is ready in its answer.

  --region CODE  where the candidate is (default fra)
  --turns N      questions the interviewer asks, 1–200 (default 4)
  --pace MS      how long each side speaks per turn (default 300)
  --tenants 2    two tenants' interviews side by side, and what each one's keys open of the other's
  --cold         begin without a hot machine: one is created for the session (always with two tenants)
  --image        build the worker's image and run the worker from its file tree (needs root and buildah)
  --headed       join with a real Chromium instead of the headless candidate
  --json         print one JSON line last, for programs
`;

/** Parses the arguments. The error that it throws says what to change. */
export function parseOptions(args: string[]): DemoOptions | 'help' {
  const { values } = parseArgs({
    args,
    options: {
      json: { type: 'boolean', default: false },
      headed: { type: 'boolean', default: false },
      region: { type: 'string', default: 'fra' },
      turns: { type: 'string', default: '4' },
      pace: { type: 'string', default: '300' },
      tenants: { type: 'string', default: '1' },
      image: { type: 'boolean', default: false },
      cold: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const whole = (name: 'turns' | 'pace', min: number, max: number) => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new Error(`--${name} must be a whole number from ${min} to ${max}, not ${values[name]}`);
    }
    return value;
  };
  if (!/^[a-z]{3}$/.test(values.region))
    throw new Error(`--region must be a region code such as fra, not ${values.region}`);
  if (values.tenants !== '1' && values.tenants !== '2')
    throw new Error(`--tenants must be 1 or 2, not ${values.tenants}`);
  if (values.tenants === '2' && values.headed) throw new Error('--headed shows one interview: leave out --tenants 2');
  return {
    tenants: values.tenants === '2' ? 2 : 1,
    json: values.json,
    headed: values.headed,
    image: values.image,
    cold: values.cold || values.tenants === '2',
    region: values.region,
    turns: whole('turns', 1, 200),
    paceMs: whole('pace', 50, 60_000),
  };
}
