import { isIP, type LookupFunction } from 'node:net';
import { Client, type Dispatcher } from 'undici';
import { createNetworks, isPublicAddress } from './addresses.ts';
import { createResolve, type Resolve } from './resolve.ts';

/**
 * Every request to a URL that a tenant has set goes through this guard.
 *
 * - The name is resolved once. All of its addresses must be allowed, and the connection goes to one of the checked addresses, so
 *   a different answer to a second look-up has no effect.
 * - Redirects are not followed, because their target was not checked.
 * - Only https, except to networks that the configuration allows. No credentials in the URL. The certificate is checked against
 *   the name, not the address.
 * - The body of the answer is read up to a limit. Its beginning is kept as text for the log that only the tenant itself can
 *   read; nothing that a tenant's server says is used or shown elsewhere.
 * - The time limit covers everything, including the name look-up.
 */
export type Refusal = { kind: 'refused'; why: string };
export type Destination = { kind: 'allowed'; url: URL; address: string; family: 4 | 6 };

export interface Guard {
  /** Checks a URL as if it were called now. Never throws: a name that cannot be resolved is refused. */
  check(url: string): Promise<Destination | Refusal>;
  /** Checks a URL without a name look-up. Used when a URL is stored. */
  checkForm(url: string): Refusal | undefined;
  post(url: string, request: GuardedRequest): Promise<GuardedAnswer>;
}

export interface GuardedRequest {
  headers: Record<string, string>;
  body: string;
  /** Limit for name look-up, connection and complete answer together, ms. */
  limitMs: number;
}

export type GuardedAnswer =
  | { kind: 'answered'; status: number; retryAfter: string | undefined; head: string }
  | { kind: 'failed'; why: string }
  | Refusal;

export interface GuardOptions {
  /** Networks that are allowed although they are not public, in CIDR notation. Default: none. */
  allow?: readonly string[];
  /** Default: DNS, by the system's name servers. */
  resolve?: Resolve;
}

const bodyLimitBytes = 65_536;
const headBytes = 2_000;
const headCharacters = 500;
const refused = (why: string): Refusal => ({ kind: 'refused', why });

/** Names that never denote a public host, whatever a resolver answers. */
const privateNames = /(^|\.)(localhost|local|internal|flycast|home\.arpa|onion)\.?$/i;

/** The host without IPv6 brackets. The URL parser has already normalised unusual forms of IPv4. */
const hostOf = ({ hostname }: URL): string => hostname.replace(/^\[(.*)\]$/, '$1');

function parse(text: string): URL | Refusal {
  const url = URL.parse(text);
  if (!url) return refused('not a URL');
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return refused('only http and https');
  if (url.username !== '' || url.password !== '') return refused('credentials in the URL');
  if (url.port === '0') return refused('port 0');
  return url;
}

export function createGuard({ allow = [], resolve = createResolve() }: GuardOptions = {}): Guard {
  const isAllowed = createNetworks(allow);

  const judge = (url: URL, address: string): Refusal | undefined => {
    if (isAllowed(address)) return undefined;
    if (!isPublicAddress(address)) return refused('not a public address');
    return url.protocol === 'https:' ? undefined : refused('https is required');
  };

  const checkForm: Guard['checkForm'] = (text) => {
    const url = parse(text);
    if (!(url instanceof URL)) return url;
    const host = hostOf(url);
    if (isIP(host) !== 0) return judge(url, host);
    if (allow.length > 0) return undefined; // The name may resolve to an allowed network.
    if (privateNames.test(host) || !host.includes('.')) return refused('not a public name');
    return url.protocol === 'https:' ? undefined : refused('https is required');
  };

  const addressesOf = async (host: string): Promise<Array<{ address: string; family: number }>> => {
    const family = isIP(host);
    if (family !== 0) return [{ address: host, family }];
    return resolve(host).catch(() => []);
  };

  const check: Guard['check'] = async (text) => {
    const wrong = checkForm(text);
    if (wrong) return wrong;
    const url = new URL(text);
    const addresses = await addressesOf(hostOf(url));
    const first = addresses[0];
    if (!first) return refused('the name cannot be resolved');
    for (const { address } of addresses) {
      const bad = judge(url, address);
      if (bad) return bad; // One forbidden address refuses the whole name.
    }
    return { kind: 'allowed', url, address: first.address, family: first.family === 6 ? 6 : 4 };
  };

  /** Answers every look-up with the address that was checked. */
  const clientFor = ({ url, address, family }: Destination): Client => {
    const pinned = ((_host, options, done) =>
      options.all ? done(null, [{ address, family }]) : done(null, address, family)) as LookupFunction;
    return new Client(url.origin, { connect: { lookup: pinned, autoSelectFamily: false }, pipelining: 0 });
  };

  const post: Guard['post'] = async (text, { headers, body, limitMs }) => {
    const signal = AbortSignal.timeout(limitMs);
    const destination = await inTime(check(text), signal);
    if (destination === undefined) return { kind: 'failed', why: 'no answer in time' };
    if (destination.kind === 'refused') return destination;
    const { url } = destination;
    const client = clientFor(destination);
    const path = `${url.pathname}${url.search}`;
    try {
      const answer = await client.request({ method: 'POST', path, headers, body, signal });
      const head = await headOf(answer.body);
      const retryAfter = [answer.headers['retry-after'] ?? []].flat()[0];
      return { kind: 'answered', status: answer.statusCode, retryAfter, head };
    } catch (error) {
      return { kind: 'failed', why: signal.aborted ? 'no answer in time' : reasonOf(error) };
    } finally {
      await client.destroy().catch(() => undefined);
    }
  };

  return { check, checkForm, post };
}

/** Resolves with undefined if the signal fires first. A look-up cannot be cancelled; its result is then ignored. */
function inTime<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
    work.then(resolve, reject);
  });
}

/**
 * Reads the body and returns its beginning, without control characters, which Postgres or a terminal would not take as text.
 * Also resolves at the size limit, and then destroys the connection.
 */
async function headOf(body: Dispatcher.ResponseData['body']): Promise<string> {
  const first: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    if (bytes < headBytes) first.push(chunk as Buffer);
    bytes += (chunk as Buffer).length;
    if (bytes > bodyLimitBytes) break;
  }
  const text = Buffer.concat(first).subarray(0, headBytes).toString('utf8').toWellFormed();
  return text
    .replaceAll(/\p{Cc}+/gu, ' ')
    .slice(0, headCharacters)
    .toWellFormed();
}

/** An error code such as ECONNREFUSED. Never the message, which may contain text of the server. */
const reasonOf = (error: unknown): string => {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' && /^[A-Z_]{3,60}$/.test(code) ? code : 'failed';
};
