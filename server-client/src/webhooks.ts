import { WebhookError } from './errors.ts';
import type { GreenroomEvent } from './types.ts';

/**
 * Verifies a webhook by the Standard Webhooks scheme: HMAC-SHA-256 over id, time and body, with WebCrypto.
 *
 * @param message.body exactly as received: text or bytes, not parsed
 * @param message.headers of a `Request`, or of Node's `IncomingMessage`
 * @param message.secret `whsec_…`. While you rotate it, give the old and the new one.
 * @param message.toleranceS how far `webhook-timestamp` may be from the clock of this computer, s. Default 300.
 * @throws WebhookError
 */
export async function verifyWebhook(message: {
  body: string | Uint8Array;
  headers: Headers | Record<string, string | string[] | undefined>;
  secret: string | readonly string[];
  toleranceS?: number;
}): Promise<GreenroomEvent> {
  const { headers, toleranceS = 300 } = message;
  const header = (name: string): string => {
    const value = headers instanceof Headers ? headers.get(name) : headers[name];
    if (typeof value !== 'string' || value === '') throw new WebhookError(`the header ${name} is missing`);
    return value;
  };
  const [id, timestamp, signatures] = [
    header('webhook-id'),
    header('webhook-timestamp'),
    header('webhook-signature'),
  ] as const;
  const seconds = Number(timestamp);
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1_000 - seconds) > toleranceS)
    throw new WebhookError(`the message is of another time: webhook-timestamp is ${timestamp.slice(0, 20)}`);
  const encoder = new TextEncoder();
  const body = typeof message.body === 'string' ? encoder.encode(message.body) : message.body;
  const start = encoder.encode(`${id}.${timestamp}.`);
  const signed = new Uint8Array(start.length + body.length);
  signed.set(start);
  signed.set(body, start.length);
  const given = signatures.split(' ').flatMap((one) => (one.startsWith('v1,') ? [bytesOf(one.slice(3))] : []));
  for (const secret of [message.secret].flat()) {
    const key = await keyOf(secret);
    for (const signature of given)
      if (signature && (await crypto.subtle.verify('HMAC', key, signature, signed)))
        return { id, ...(JSON.parse(new TextDecoder().decode(body)) as Omit<GreenroomEvent, 'id'>) };
  }
  throw new WebhookError('no signature is right: another secret, or the body was changed or parsed before');
}

function keyOf(secret: string): Promise<CryptoKey> {
  const bytes = bytesOf(secret.replace(/^whsec_/, ''));
  if (!bytes || bytes.length === 0) throw new TypeError('a webhook secret looks like whsec_ and base64');
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    return undefined;
  }
}
