/**
 * The `state` of a `fly-replay-src` header: what the edge handed to Fly's proxy for us.
 * Fly documents `;` between the fields; its own samples also split on `,`. Both are read.
 */
export function replayState(header: string | string[] | undefined): string | undefined {
  // A client could send a header of the same name: the last one is the proxy's own.
  const value = Array.isArray(header) ? header.at(-1) : header;
  for (const field of value?.split(/[;,]/) ?? []) {
    const [name, ...rest] = field.trim().split('=');
    if (name?.trim() === 'state') return rest.join('=').trim() || undefined;
  }
  return undefined;
}
