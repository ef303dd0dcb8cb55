import { randomBytes } from 'node:crypto';

/** One event of the realtime API, in either direction. */
export interface WireEvent {
  type: string;
  [field: string]: unknown;
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/**
 * An id in the provider's format: a prefix and 21 letters and digits, such as `item_E6mH8gMSHj8w5w9SzpiLj`.
 */
export function newWireId(prefix: string): string {
  const letters = Array.from(randomBytes(21), (byte) => alphabet[byte % alphabet.length]);
  return `${prefix}_${letters.join('')}`;
}

/** Random padding that the real service adds to deltas so that packet sizes reveal nothing. */
export const obfuscation = (delta: string): string =>
  randomBytes(16)
    .toString('base64url')
    .slice(0, Math.max(1, 16 - (delta.length % 16)));

/** Parses a JSON object with a `type`; undefined for anything else. */
export function parseEvent(text: string): WireEvent | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('type' in value)) return undefined;
    return typeof value.type === 'string' ? (value as WireEvent) : undefined;
  } catch {
    return undefined;
  }
}
