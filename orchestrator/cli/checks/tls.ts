import { connect } from 'node:tls';
import { ask, type Check, fail, ok, unknown } from './check.ts';

const limitMs = 10_000;

export type OldTls = 'TLSv1' | 'TLSv1.1';
const oldVersions: readonly OldTls[] = ['TLSv1', 'TLSv1.1'];

/** Offers one old version only. @returns whether the server agreed to it */
export const accepts = (host: string, port: number, version: OldTls): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({
      ...{ host, port, minVersion: version, maxVersion: version, rejectUnauthorized: false },
      ...(/^[\d.]+$|:/.test(host) ? {} : { servername: host }),
      // Without this our own side would refuse the old version, and every server would look good.
      ciphers: 'DEFAULT:@SECLEVEL=0',
    });
    const end = (agreed: boolean) => {
      socket.destroy();
      resolve(agreed);
    };
    socket.setTimeout(limitMs, () => end(false));
    socket.once('error', () => end(false));
    socket.once('secureConnect', () => end(true));
  });

const noTls = 'None needed on this machine.';

export const tlsVersions: Check = {
  id: 'tls-versions',
  means: 'Somebody in the same network can read or change what a browser sends.',
  run: async ({ config: { publicUrl } }) => {
    const { protocol, hostname, port } = new URL(publicUrl);
    if (protocol !== 'https:') return unknown(`${publicUrl} has no TLS.`, noTls);
    const agreed = await Promise.all(oldVersions.map((version) => accepts(hostname, Number(port || 443), version)));
    const accepted = oldVersions.filter((_version, n) => agreed[n]);
    return accepted.length === 0
      ? ok('TLS 1.0 and 1.1 are refused.')
      : fail(
          `${accepted.join(' and ')} is accepted.`,
          'Set tls_options.versions = ["TLSv1.2", "TLSv1.3"] for port 443 in fly.orchestrator.toml, then: greenroom deploy orchestrator',
        );
  },
};

export const plainHttp: Check = {
  id: 'plain-http',
  means: 'A link that was typed without https carries its invitation code over the network in clear.',
  run: async ({ config: { publicUrl } }) => {
    const url = new URL('/healthz', publicUrl);
    if (url.protocol !== 'https:') return unknown(`${publicUrl} has no TLS.`, noTls);
    url.protocol = 'http:';
    url.port = '80';
    const { status, headers } = await ask(url.href, { redirect: 'manual' });
    if (status === 0) return ok('Nothing answers without TLS.');
    return status >= 300 && status < 400 && headers.get('location')?.startsWith('https:')
      ? ok('Requests without TLS are redirected.')
      : fail(
          `A request without TLS is answered with ${status}.`,
          'Set force_https = true for port 80 in fly.orchestrator.toml, then: greenroom deploy orchestrator',
        );
  },
};
