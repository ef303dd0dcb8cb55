/** Default for the longest wait that we accept from a server. */
const mostMs = 3_600_000;

/**
 * The wait that a server asks for in `Retry-After`, in ms. Only seconds are read: none of our services sends the date form.
 * Undefined if the header is missing or has another form.
 * @param limitMs the longest wait that is accepted; a longer one is shortened to it
 */
export function readRetryAfter(header: string | string[] | null | undefined, limitMs = mostMs): number | undefined {
  const text = [header ?? []].flat()[0]?.trim() ?? '';
  return /^\d+(\.\d+)?$/.test(text) ? Math.min(limitMs, Number(text) * 1_000) : undefined;
}
