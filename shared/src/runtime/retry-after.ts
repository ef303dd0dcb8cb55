/** No server makes us wait longer, whatever it asks for, unless the caller obeys more. */
const mostMs = 3_600_000;

/**
 * How long a server asks us to wait, in ms. `Retry-After` holds seconds; its other form, a date, is sent by none of those that
 * we ask. Undefined when the header is missing or holds anything else.
 * @param limitMs the longest wait that is obeyed
 */
export function readRetryAfter(header: string | string[] | null | undefined, limitMs = mostMs): number | undefined {
  const text = [header ?? []].flat()[0]?.trim() ?? '';
  return /^\d+(\.\d+)?$/.test(text) ? Math.min(limitMs, Number(text) * 1_000) : undefined;
}
