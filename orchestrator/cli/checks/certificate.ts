import { connect, type TLSSocket } from 'node:tls';
import { type Check, fail, ok, reasonOf, unknown, warn } from './check.ts';

const dayMs = 86_400_000;
const soonMs = 14 * dayMs;
const limitMs = 10_000;

interface Seen {
  /** Why the certificate is not trusted; undefined if it is. */
  untrusted: string | undefined;
  validToMs: number;
}

function look(host: string, port: number): Promise<Seen> {
  return new Promise((resolve, reject) => {
    // The connection is only looked at: an untrusted certificate is the finding, not an obstacle.
    const socket: TLSSocket = connect({ host, port, servername: host, rejectUnauthorized: false }, () => {
      const { valid_to } = socket.getPeerCertificate();
      const untrusted = socket.authorized ? undefined : String(socket.authorizationError);
      socket.destroy();
      resolve({ untrusted, validToMs: Date.parse(valid_to) });
    });
    socket.setTimeout(limitMs, () => socket.destroy(new Error(`no answer within ${limitMs / 1_000} s`)));
    socket.once('error', reject);
  });
}

/** The certificate of PUBLIC_URL: trusted, made for this name, and valid for another two weeks. */
export const certificate: Check = {
  id: 'certificate',
  means: 'Browsers refuse the page, or give it neither microphone nor camera.',
  run: async ({ config, now }) => {
    const { protocol, hostname, port } = new URL(config.publicUrl);
    const isLocal = /^(localhost|127\.|\[::1\])/.test(hostname);
    if (protocol === 'http:' && isLocal)
      return unknown(`${config.publicUrl} is on this machine and has no certificate.`, 'None needed on this machine.');
    if (protocol === 'http:')
      return fail(
        'PUBLIC_URL is http: browsers give such a page no microphone.',
        'Set PUBLIC_URL to the https address.',
      );
    const seen = await look(hostname, Number(port || 443)).catch(reasonOf);
    const renew = `See what is missing: fly certs check ${hostname}`;
    if (typeof seen === 'string') return fail(`${hostname} accepts no TLS connection (${seen}).`, renew);
    if (seen.untrusted !== undefined) return fail(`The certificate is not trusted (${seen.untrusted}).`, renew);
    const leftMs = seen.validToMs - now();
    const detail = `The certificate is valid for another ${Math.floor(leftMs / dayMs)} days.`;
    return leftMs < soonMs ? warn(detail, renew) : ok(detail);
  },
};
