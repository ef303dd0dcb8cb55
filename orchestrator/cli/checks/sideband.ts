import { WebSocket } from 'ws';

/** Joins a call as a worker does. For the checks that open a call. */
const sidebandLimitMs = 10_000;
function attach(url: string, authorization: Record<string, string>, session: object): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, {
      headers: authorization,
      handshakeTimeout: sidebandLimitMs,
    });
    const end = (why: string | undefined) => {
      clearTimeout(limit);
      socket.removeAllListeners('close');
      socket.terminate();
      resolve(why);
    };
    const limit = setTimeout(() => end(`no answer within ${sidebandLimitMs / 1_000} s`), sidebandLimitMs);
    socket.on('error', (error) => end(error.message));
    socket.on('close', (code) => end(`closed with ${code}`));
    socket.on('open', () => socket.send(JSON.stringify({ type: 'session.update', session })));
    socket.on('message', (data) => {
      const event = JSON.parse(String(data)) as { type?: string; error?: { code?: string; message?: string } };
      if (event.type === 'session.updated') end(undefined);
      if (event.type === 'error')
        end(`session.update is refused: ${event.error?.code ?? ''} ${event.error?.message ?? ''}`.trim());
    });
  });
}

/**
 * Attaches the sideband and sends our `session.update`.
 * @param tries how often a 404 is tried again: the provider does not know its own new calls for a moment
 * @returns what went wrong; undefined if it was taken
 */
export async function attachSideband(
  url: string,
  authorization: Record<string, string>,
  session: object,
  tries: number,
): Promise<string | undefined> {
  for (let left = tries; ; left -= 1) {
    const why = await attach(url, authorization, session);
    if (why === undefined || left <= 1 || !why.includes('404')) return why;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
