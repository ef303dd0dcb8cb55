import { createHash, timingSafeEqual } from 'node:crypto';

/** A platform operator. Creates and changes tenants, and belongs to none. */
export interface Operator {
  /** `operator:<name>`. */
  actor: string;
}

/** An entry of OPERATOR_TOKENS: a name for the audit log and the SHA-256 of the token. */
export interface OperatorToken {
  name: string;
  hash: Buffer;
}

export const operatorTokenForm = /^gr_op_[\w-]{32,200}$/;
const entryForm = /^([\w.@-]{1,60}):([0-9a-f]{64})$/;

/** Reads `name:sha256hex, …`; undefined when an entry is malformed. */
export function parseOperatorTokens(text: string): OperatorToken[] | undefined {
  const entries = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map((entry) => entryForm.exec(entry));
  if (entries.includes(null)) return undefined;
  return entries.map((match) => ({ name: match?.[1] as string, hash: Buffer.from(match?.[2] as string, 'hex') }));
}

/** The operator with this token. Compares every entry, in constant time. */
export function findOperator(tokens: readonly OperatorToken[], token: string): Operator | undefined {
  const hash = createHash('sha256').update(token).digest();
  const found = tokens.filter((entry) => timingSafeEqual(entry.hash, hash));
  return found[0] === undefined ? undefined : { actor: `operator:${found[0].name}` };
}
