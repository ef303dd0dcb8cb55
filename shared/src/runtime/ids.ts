import { randomBytes, randomUUID } from 'node:crypto';

/** Row ids. */
export const newId = (): string => randomUUID();

/** An unguessable secret, base64url, `bytes` of entropy (default 32). */
export const newSecret = (bytes = 32): string => randomBytes(bytes).toString('base64url');
