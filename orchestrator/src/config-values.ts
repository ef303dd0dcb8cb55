import { withoutEndSlashes } from '@greenroom/shared/runtime/environment.ts';
import type { JWK } from 'jose';
import { z } from 'zod';
import { isNetwork } from './net/addresses.ts';
import { type OperatorToken, parseOperatorTokens } from './tokens/operator-tokens.ts';

/**
 * Parsers for environment variables. Error messages never contain the value, because most values are secrets.
 */
export const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .transform((url) => withoutEndSlashes(url));
export const text = z.string().min(1);

/** Parses JSON. The error message says what was expected and never contains the value. */
export const json = <T extends z.ZodType>(schema: T, what: string) =>
  z.string().transform((value, context): z.output<T> => {
    const parsed = schema.safeParse(parseJson(value));
    if (parsed.success) return parsed.data;
    context.addIssue({ code: 'custom', message: `must be ${what}` });
    return z.NEVER;
  });

function parseJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

export const signingKey = z.looseObject({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  kid: z.string().min(1),
  d: z.string().min(1),
  x: z.string().min(1),
  y: z.string().min(1),
}) as unknown as z.ZodType<JWK & { kid: string }>;

export const key32 = z
  .string()
  .transform((value) => Buffer.from(value, 'base64'))
  .refine((key) => key.length === 32, 'must be 32 bytes in base64 (openssl rand -base64 32)');

export const operatorTokens = z.string().transform((value, context): OperatorToken[] => {
  const parsed = parseOperatorTokens(value);
  if (parsed) return parsed;
  context.addIssue({ code: 'custom', message: 'must be name:sha256hex entries, separated by commas' });
  return z.NEVER;
});

/** Comma-separated networks in CIDR notation. */
export const networks = z
  .string()
  .transform((value) =>
    value
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  )
  .refine((entries) => entries.every(isNetwork), 'must be networks such as 127.0.0.0/8, separated by commas');

/** Null when the variable is not set. */
export const optional = <T extends z.ZodType>(schema: T) => schema.nullable().default(null);

export const flag = z.enum(['true', 'false']).transform((value) => value === 'true');
export const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
