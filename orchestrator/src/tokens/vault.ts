import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/**
 * Encrypts stored credentials with AES-256-GCM. The row that a ciphertext belongs to (`context`) is authenticated with it, so that a
 * credential cannot be moved to another row.
 *
 * The first key encrypts, all keys decrypt. To rotate, put the new key in front, re-encrypt the stored credentials, and remove the
 * old key.
 */
export interface Vault {
  /** Id of the encrypting key, derived from the key itself. */
  readonly keyId: string;
  seal(secret: string, context: string): string;
  /** Throws if the ciphertext needs an unknown key, belongs to another context, or was changed. */
  open(sealed: string, context: string): string;
}

const version = 'v1';

/** @param keys 32 bytes each; at least one. */
export function createVault(...keys: [Buffer, ...Buffer[]]): Vault {
  return {
    keyId: createHash('sha256').update('key-id').update(keys[0]).digest('hex').slice(0, 16),
    seal: (secret, context) => {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', keys[0], nonce).setAAD(Buffer.from(context));
      const body = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
      return [version, ...[nonce, cipher.getAuthTag(), body].map((part) => part.toString('base64url'))].join('.');
    },
    open: (sealed, context) => {
      const errors: unknown[] = [];
      for (const key of keys) {
        try {
          return openWith(key, sealed, context);
        } catch (error) {
          errors.push(error);
        }
      }
      throw errors[0];
    },
  };
}

function openWith(key: Buffer, sealed: string, context: string): string {
  const [found, nonce = '', tag = '', body = ''] = sealed.split('.');
  if (found !== version) throw new Error('a sealed credential of an unknown version');
  const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64url'), { authTagLength: 16 })
    .setAAD(Buffer.from(context))
    .setAuthTag(Buffer.from(tag, 'base64url'));
  return Buffer.concat([decipher.update(Buffer.from(body, 'base64url')), decipher.final()]).toString('utf8');
}

/** The context of a realtime call's credential. */
export const callContext = (sessionId: string, ordinal: number): string => `call:${sessionId}:${ordinal}`;

/**
 * The context of a tenant's own credential at a provider. The base URL belongs to it, so that no change of a row sends the key elsewhere.
 */
export const providerContext = (tenantId: string, provider: string, baseUrl: string | null): string =>
  `provider:${tenantId}:${provider}${baseUrl === null ? '' : `:${baseUrl}`}`;

/** The context of a stored answer of an idempotency key. */
export const idempotencyContext = (scope: string, key: string): string => `idempotency:${scope}:${key}`;

/** The context of a session's invitation code, while its answer is not stored. */
export const invitationContext = (sessionId: string): string => `invitation:${sessionId}`;

/** The context of a webhook's signing secret. */
export const webhookContext = (webhookId: string): string => `webhook:${webhookId}`;
