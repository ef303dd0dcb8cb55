/** Numbers and times in words. */
const oneDecimal = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const upToTwo = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });
const cents = new Intl.NumberFormat('en', { style: 'currency', currency: 'USD' });
const small = new Intl.NumberFormat('en', { style: 'currency', currency: 'USD', maximumFractionDigits: 4 });

export const number = (value: number): string => whole.format(value);
/** For rates: a tenant may have one machine in a hundred seconds. */
export const fraction = (value: number): string => upToTwo.format(value);
export const usd = (value: number): string => (value !== 0 && Math.abs(value) < 0.1 ? small : cents).format(value);
export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${number(count)} ${count === 1 ? one : many}`;

/** `85 ms`, `31.4 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${whole.format(ms)} ms`;
  if (ms < 100_000) return `${oneDecimal.format(ms / 1_000)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export const megabytes = (bytes: number): string => `${whole.format(bytes / 1_048_576)} MB`;

/** `create_limit` as `create limit`. */
export const words = (code: string): string => code.replaceAll('_', ' ');

export type Zone = 'utc' | 'local';
export const isZone = (value: unknown): value is Zone => value === 'utc' || value === 'local';

const formatOf = (zone: Zone, options: Intl.DateTimeFormatOptions) =>
  new Intl.DateTimeFormat('en-GB', { ...options, ...(zone === 'utc' ? { timeZone: 'UTC' } : {}) });
const clock = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
const day = { day: 'numeric', month: 'short' } as const;
const formats = {
  utc: {
    clock: formatOf('utc', clock),
    day: formatOf('utc', day),
    full: formatOf('utc', { ...day, year: 'numeric', ...clock }),
  },
  local: {
    clock: formatOf('local', clock),
    day: formatOf('local', day),
    full: formatOf('local', { ...day, year: 'numeric', ...clock }),
  },
};

/** The time of day, with the date if it is not today. */
export function timeIn(zone: Zone, at: number, now: number): string {
  const { clock: time, day: date } = formats[zone];
  return date.format(at) === date.format(now) ? time.format(at) : `${date.format(at)} ${time.format(at)}`;
}

/** Date and time in both zones. */
export const fullTime = (at: number): string =>
  `${formats.utc.full.format(at)} UTC · ${formats.local.full.format(at)} local`;

const cities: Record<string, string> = {
  ...{ ams: 'Amsterdam', arn: 'Stockholm', bom: 'Mumbai', cdg: 'Paris', dfw: 'Dallas', ewr: 'Secaucus' },
  ...{ fra: 'Frankfurt', gru: 'São Paulo', iad: 'Ashburn', jnb: 'Johannesburg', lax: 'Los Angeles', lhr: 'London' },
  ...{ nrt: 'Tokyo', ord: 'Chicago', sin: 'Singapore', sjc: 'San Jose', syd: 'Sydney', yyz: 'Toronto' },
};
export const regionCodes = Object.keys(cities);
export const cityOf = (region: string): string => cities[region] ?? region;

export type Tone = 'live' | 'wait' | 'rest' | 'done' | 'warn' | 'bad';
const tones: Record<string, Tone> = {
  ...{ scheduled: 'rest', pending: 'wait', provisioning: 'wait', ready: 'wait', connecting: 'wait' },
  ...{ in_progress: 'live', finalizing: 'wait', completed: 'done', cancelled: 'done', expired: 'warn' },
  ...{ disconnected: 'warn', failed: 'bad', reserved: 'wait', created: 'rest', started: 'wait', claimed: 'live' },
  ...{ draining: 'warn', destroying: 'warn', destroyed: 'done', dead: 'bad', failing: 'bad', running: 'live' },
  ...{ active: 'live', suspended: 'warn', removing: 'warn', removed: 'done', delivered: 'done', done: 'done' },
  ...{ refused: 'bad', open: 'live', drained: 'warn' },
};
export const toneOf = (state: string): Tone => tones[state] ?? 'rest';
