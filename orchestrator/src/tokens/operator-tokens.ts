import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Operators and their tokens. OPERATOR_TOKENS lists them: `name:role:hash`, separated by commas. The hash is the SHA-256 of
 * the token, in hex. `name:hash` is an admin, as in deployments before there were roles.
 *
 * - viewer: sees everything except names and spoken text. operator: also acts. admin: also tenants, transcripts and the brake.
 * - A name may have several tokens, for rotation. A token has one role.
 */
export const operatorRoles = ['viewer', 'operator', 'admin'] as const;
export type OperatorRole = (typeof operatorRoles)[number];

/** A platform operator. Belongs to no tenant. */
export interface Operator {
  /** `operator:<name>`. */
  actor: string;
  role: OperatorRole;
}

/** An entry of OPERATOR_TOKENS: a name for the audit log, the role and the SHA-256 of the token. */
export interface OperatorToken {
  name: string;
  role: OperatorRole;
  hash: Buffer;
}

/** Whether a role includes everything that another one may do. */
export const roleIncludes = (role: OperatorRole, wanted: OperatorRole): boolean =>
  operatorRoles.indexOf(role) >= operatorRoles.indexOf(wanted);

export const operatorTokenForm = /^gr_op_[\w-]{32,200}$/;
const nameForm = /^[\w.@-]{1,60}$/;
const hashForm = /^[0-9a-f]{64}$/;

const isRole = (text: string): text is OperatorRole => (operatorRoles as readonly string[]).includes(text);

/** Reads one entry. Returns what is wrong with it, in words without its value. */
function readEntry(entry: string): OperatorToken | string {
  const parts = entry.split(':');
  const [name = ''] = parts;
  const [role = '', hash = ''] = parts.length === 2 ? ['admin', parts[1]] : parts.slice(1);
  if (parts.length < 2 || parts.length > 3) return 'must be name:role:sha256hex';
  if (!nameForm.test(name)) return 'the name must be 1 to 60 letters, digits and . @ _ -';
  if (!isRole(role)) return `the role must be ${operatorRoles.join(', ')}`;
  if (!hashForm.test(hash)) return 'the hash must be 64 lowercase hexadecimal digits (the SHA-256 of the token)';
  return { name, role, hash: Buffer.from(hash, 'hex') };
}

export type ReadTokens = { tokens: OperatorToken[] } | { problem: string };

/** Reads OPERATOR_TOKENS. A problem names the entry by its place, and never contains a hash. */
export function readOperatorTokens(text: string): ReadTokens {
  const tokens: OperatorToken[] = [];
  const entries = text.split(',').map((entry) => entry.trim());
  for (const [index, entry] of entries.entries()) {
    if (entry === '') continue;
    const read = readEntry(entry);
    if (typeof read === 'string') return { problem: `entry ${index + 1}: ${read}` };
    const same = tokens.findIndex(({ hash }) => hash.equals(read.hash));
    if (same >= 0)
      return { problem: `entry ${index + 1}: its hash is that of an earlier entry, ${tokens[same]?.name}` };
    tokens.push(read);
  }
  return { tokens };
}

/** The operator whose token has this SHA-256. Compares every entry, in constant time. */
export function operatorOfHash(tokens: readonly OperatorToken[], hash: Buffer): Operator | undefined {
  const [found] = tokens.filter((entry) => entry.hash.length === hash.length && timingSafeEqual(entry.hash, hash));
  return found === undefined ? undefined : { actor: `operator:${found.name}`, role: found.role };
}

export const hashOfToken = (token: string): Buffer => createHash('sha256').update(token).digest();

/** The operator with this token. */
export const findOperator = (tokens: readonly OperatorToken[], token: string): Operator | undefined =>
  operatorOfHash(tokens, hashOfToken(token));
