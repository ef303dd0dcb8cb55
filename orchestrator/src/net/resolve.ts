import { lookup, Resolver } from 'node:dns/promises';

/**
 * Looks names of tenants up.
 *
 * By DNS directly, not by the system's getaddrinfo: that one occupies one of the process's four worker threads for as long as a
 * name server is silent, so a few names whose servers never answer would hold up every other look-up (and every file access).
 * The system is asked only for names that DNS does not know, such as those of /etc/hosts.
 */
export type Resolve = (host: string) => Promise<Array<{ address: string; family: number }>>;

export interface ResolveOptions {
  /** Name servers, `address:port`. Default: the system's. */
  servers?: string[];
  /** Wait for one answer, ms; a second try follows. Default 2,000. */
  timeoutMs?: number;
}

const unknownName = new Set(['ENOTFOUND', 'ENODATA']);
const codeOf = (error: unknown): string => String((error as { code?: unknown }).code);

export function createResolve({ servers, timeoutMs = 2_000 }: ResolveOptions = {}): Resolve {
  const resolver = new Resolver({ timeout: timeoutMs, tries: 2 });
  if (servers) resolver.setServers(servers);
  return async (host) => {
    const [four, six] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = [
      ...(four.status === 'fulfilled' ? four.value.map((address) => ({ address, family: 4 })) : []),
      ...(six.status === 'fulfilled' ? six.value.map((address) => ({ address, family: 6 })) : []),
    ];
    if (found.length > 0) return found;
    const failures = [four, six].flatMap((one) => (one.status === 'rejected' ? [codeOf(one.reason)] : []));
    return failures.every((code) => unknownName.has(code)) ? lookup(host, { all: true, verbatim: true }) : [];
  };
}
