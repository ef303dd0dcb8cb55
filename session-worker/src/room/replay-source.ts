/**
 * The `state` field of a `fly-replay-src` header, which the edge gave to Fly's proxy for this worker. Fly
 * documents `;` between the fields; its samples also use `,`. Both are accepted.
 */
export function replayState(header: string | string[] | undefined): string | undefined {
  // A client could send a header with this name; the last one is the proxy's.
  const value = Array.isArray(header) ? header.at(-1) : header;
  for (const field of value?.split(/[;,]/) ?? []) {
    const [name, ...rest] = field.trim().split('=');
    if (name?.trim() === 'state') return rest.join('=').trim() || undefined;
  }
  return undefined;
}
