import { followStream } from '@greenroom/shared/runtime/event-stream.ts';
import { CliError, type Console } from '../console.ts';
import { fleetOf, queryOf, type Row } from './fleet.ts';

/** An orchestrator that answers so is stopping, starting or overloaded. The same request may succeed later. */
const passing = new Set([429, 500, 502, 503, 504]);
/** How many ids are remembered to recognise repeated events: those of the last seconds at the highest rate of the stream. */
const remembered = 10_000;

/**
 * Follows the stream of the operators' API until `onMessage` returns `enough`. When the connection breaks, for example because
 * the orchestrator is replaced, it continues after the last message. Throws CliError if the first request is not answered, and
 * whenever the token is refused.
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
  let wasConnected = false;
  let isLost = false;
  const away = (cause?: unknown): CliError =>
    new CliError('away', 'orchestrator_away', `${url} does not answer (GREENROOM_URL).`, { cause });
  await followStream({
    after: after === undefined ? undefined : String(after),
    open: async (last, signal) => {
      const answer = await fetch(`${url}/ops/api/stream${queryOf({ ...filters, after: last })}`, {
        ...{ headers: { authorization: `Bearer ${token}` }, signal },
      }).catch((error: unknown) => {
        if (!wasConnected) throw away(error);
      });
      if (answer === undefined) return undefined;
      if (answer.ok) {
        if (isLost) console.progress('Connected again; continuing.');
        [wasConnected, isLost] = [true, false];
        return answer;
      }
      await answer.body?.cancel();
      if (passing.has(answer.status)) {
        if (wasConnected) return undefined;
        throw away();
      }
      throw new CliError(
        'notAllowed',
        'token_refused',
        `The stream was refused: HTTP ${answer.status}. Check GREENROOM_TOKEN.`,
      );
    },
    onMessage: ({ name, data: text }) => {
      const data = JSON.parse(text) as Row;
      if (name === 'bye' && data.why === 'signed_out')
        throw new CliError(
          'notAllowed',
          'signed_out',
          'Your token was removed from OPERATOR_TOKENS, or has a lower role now.',
        );
      if (name === 'event') {
        if (seen.has(data.id)) return undefined;
        seen.add(data.id);
        if (seen.size > remembered) for (const oldest of seen) if (seen.delete(oldest)) break;
      }
      return onMessage(name, data);
    },
    onConnected: (connected) => {
      if (connected || isLost) return;
      isLost = true;
      console.progress('The connection broke off; connecting again.');
    },
  });
}
