import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/**
 * Credentials at rest: AES-256-GCM. What a ciphertext belongs to (`context`) is authenticated with it, so that one row's
 * credential cannot be put into another row.
 */
export interface Vault {
  seal(secret: string, context: string): string;
  /** Throws when the ciphertext was made with another key, for another context, or was changed. */
  open(sealed: string, context: string): string;
}

const version = 'v1';

/** @param key 32 bytes. */
export function createVault(key: Buffer): Vault {
  return {
    seal: (secret, context) => {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return [version, ...[nonce, cipher.getAuthTag(), body].map((part) => part.toString('base64url'))].join('.');
    },
    open: (sealed, context) => {
      const [found, nonce = '', tag = '', body = ''] = sealed.split('.');
      if (found !== version) throw new Error('a sealed credential of an unknown version');
      const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64url'), { authTagLength: 16 })
        .setAAD(Buffer.from(context))
        .setAuthTag(Buffer.from(tag, 'base64url'));
      return Buffer.concat([decipher.update(Buffer.from(body, 'base64url')), decipher.final()]).toString('utf8');
    },
  };
}

/** The context of a realtime call's credential. */
export const callContext = (sessionId: string, ordinal: number): string => `call:${sessionId}:${ordinal}`;
