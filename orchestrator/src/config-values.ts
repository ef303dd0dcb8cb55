import { iceServer } from '@greenroom/shared/protocol/common.ts';
import { withoutEndSlashes } from '@greenroom/shared/runtime/environment.ts';
import type { JWK } from 'jose';
import { z } from 'zod';
import { isNetwork } from './net/addresses.ts';
import { type OperatorRole, type OperatorToken, operatorRoles, readOperatorTokens } from './tokens/operator-tokens.ts';

/**
 * Parsers for environment variables. Error messages never contain the value, because most values are secrets.
 */
export const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .transform((url) => withoutEndSlashes(url));
/** Comma-separated URLs. */
export const httpUrls = z
  .string()
  .transform((value) =>
    value
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  )
  .pipe(z.array(httpUrl));
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

/** JSON: TURN and STUN servers as `RTCPeerConnection` takes them. */
export const iceServers = json(
  z
    .array(
      iceServer.extend({
        urls: z
          .array(z.string().regex(/^(?:turns?|stun):/))
          .min(1)
          .max(8),
      }),
    )
    .max(8),
  'a JSON array of at most 8 servers such as {"urls": ["turn:relay.example:3478?transport=tcp"]}',
);

export const key32 = z
  .string()
  .transform((value) => Buffer.from(value, 'base64'))
  .refine((key) => key.length === 32, 'must be 32 bytes in base64 (openssl rand -base64 32)');

export const operatorTokens = z.string().transform((value, context): OperatorToken[] => {
  const read = readOperatorTokens(value);
  if ('tokens' in read) return read.tokens;
  context.addIssue({ code: 'custom', message: read.problem });
  return z.NEVER;
});

/** `group:role`, separated by commas. */
export const groupRoles = z.string().transform((value, context): ReadonlyMap<string, OperatorRole> => {
  const found = new Map<string, OperatorRole>();
  for (const entry of value.split(',').map((part) => part.trim())) {
    const at = entry.lastIndexOf(':');
    const role = operatorRoles.find((name) => name === entry.slice(at + 1));
    if (at > 0 && role) found.set(entry.slice(0, at), role);
    else if (entry !== '')
      context.addIssue({ code: 'custom', message: `must be group:role, with a role of ${operatorRoles.join(', ')}` });
  }
  return found;
});

/** HTTP headers as OpenTelemetry's variables have them: `name=value`, separated by commas, values URL-encoded. */
export const headerList = z.string().transform((value, context): Record<string, string> => {
  const found: Record<string, string> = {};
  for (const entry of value.split(',').map((part) => part.trim())) {
    const [, name, encoded] = entry.match(/^([\w-]+)=(.*)$/) ?? [];
    const decoded = encoded === undefined ? undefined : decodeHeader(encoded);
    if (name !== undefined && decoded !== undefined) found[name.toLowerCase()] = decoded;
    else if (entry !== '')
      context.addIssue({ code: 'custom', message: 'must be name=value, separated by commas, values URL-encoded' });
  }
  return found;
});

/** Undefined if it is not URL-encoded or cannot be a header. */
function decodeHeader(encoded: string): string | undefined {
  try {
    const value = decodeURIComponent(encoded).trim();
    return /^[\x20-\x7e]+$/.test(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

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

/** How keys of the services begin. A key in another's place is refused at the start, and not by each service in its own words. */
const beginnings: ReadonlyArray<[RegExp, string]> = [
  [/^(FlyV1 |Bearer )?(fm[12][a-z]?_|fo1_)/, 'Fly'],
  [/^sk-/, 'OpenAI'],
  [/^sb_publishable_/, 'Supabase (publishable)'],
  [/^sb_secret_/, 'Supabase (secret)'],
  [/^sbp_/, 'Supabase (personal access token)'],
];

/** The variables that hold a key of another service. @param keys variable, value, and whose key it must be */
export function misplacedKeys(keys: Array<[variable: string, value: string, owner: string]>): Array<[string, string]> {
  return keys.flatMap(([variable, value, owner]) => {
    const found = beginnings.find(([pattern]) => pattern.test(value))?.[1];
    return found === undefined || found === owner
      ? []
      : [[variable, `holds a key of ${found}; it must be one of ${owner}`] as [string, string]];
  });
}
