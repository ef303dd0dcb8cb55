import { CliError, type Console } from '../console.ts';
import { fleetOf, queryOf, type Row } from './fleet.ts';

/**
 * Follows the stream of the operators' API until `onMessage` returns `enough`. When the connection breaks, it continues after the
 * last message.
 * @param filters of the stream
 */
export async function follow(
  console: Console,
  filters: Record<string, string | undefined>,
  after: number | undefined,
  onMessage: (name: string, data: Row) => 'enough' | undefined,
): Promise<void> {
  const { url, token } = fleetOf(console);
  const seen = new Set<number>();
  let cursor = after;
  for (;;) {
    const answer = await fetch(`${url}/ops/api/stream${queryOf({ ...filters, after: cursor })}`, {
      headers: { authorization: `Bearer ${token}` },
    }).catch((error: unknown) => {
      throw new CliError('away', 'orchestrator_away', `${url} does not answer (GREENROOM_URL).`, { cause: error });
    });
    if (!answer.ok || !answer.body)
      throw new CliError(
        'notAllowed',
        'token_refused',
        `The stream was refused: HTTP ${answer.status}. Check GREENROOM_TOKEN.`,
      );
    for await (const { name, id, data } of messagesOf(answer.body)) {
      cursor = id ?? cursor;
      if (name === 'bye' && data.why === 'signed_out')
        throw new CliError(
          'notAllowed',
          'signed_out',
          'Your token was removed from OPERATOR_TOKENS, or has a lower role now.',
        );
      if (name === 'event' && seen.has(data.id)) continue;
      if (name === 'event') seen.add(data.id);
      if (onMessage(name, data) === 'enough') return;
    }
    console.progress('The connection broke off; continuing.');
  }
}

interface Message {
  name: string;
  id: number | undefined;
  data: Row;
}

/** The messages of a stream of server-sent events; ends when the connection does. */
async function* messagesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Message> {
  const decoder = new TextDecoder();
  let text = '';
  try {
    for await (const chunk of body) {
      const parts = (text + decoder.decode(chunk, { stream: true })).split('\n\n');
      text = parts.pop() ?? '';
      for (const part of parts) {
        const lines = part.split('\n');
        const field = (prefix: string) => lines.find((line) => line.startsWith(prefix))?.slice(prefix.length);
        const [name, id, data] = [field('event: '), field('id: '), field('data: ')];
        if (name !== undefined)
          yield { name, id: id === undefined ? undefined : Number(id), data: JSON.parse(data ?? '{}') };
      }
    }
  } catch {
    // The connection was cut. The caller continues.
  }
}
