import { randomFillSync } from 'node:crypto';

/**
 * The W3C trace context (https://www.w3.org/TR/trace-context/) without a tracing library: log lines have trace ids also
 * where no spans are exported.
 *
 * `tracestate` is not kept: it belongs to the tracing system of whoever sent it, and may contain anything.
 */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  traceId: string;
  /** 16 hexadecimal digits: the span that new spans belong to. */
  spanId: string;
  /** Whether the spans of this trace are exported. */
  sampled: boolean;
}

const header = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const isZero = (id: string): boolean => /^0+$/.test(id);

/**
 * Reads a `traceparent` header. Undefined if there is none or it is malformed.
 *
 * A version after 00 may have more fields, which are ignored; version ff is invalid.
 */
export function parseTraceparent(value: string | null | undefined): TraceContext | undefined {
  if (!value) return undefined;
  const [, version, traceId, spanId, flags, more] = value.match(header) ?? [];
  if (version === undefined || traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (version === 'ff' || (version === '00' && more !== undefined) || isZero(traceId) || isZero(spanId))
    return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The context as a `traceparent` header of version 00. */
export const formatTraceparent = ({ traceId, spanId, sampled }: TraceContext): string =>
  `00-${traceId}-${spanId}-0${sampled ? 1 : 0}`;

/** Random bytes for the next contexts, 24 each: every request needs one, and a call of the generator costs 4 µs. */
const random = Buffer.alloc(24 * 128);
let used = random.length;

/** A new trace whose spans are not exported. */
export function newTraceContext(): TraceContext {
  if (used === random.length) {
    randomFillSync(random);
    used = 0;
  }
  const ids = random.toString('hex', used, used + 24);
  used += 24;
  return { traceId: ids.slice(0, 32), spanId: ids.slice(32), sampled: false };
}
