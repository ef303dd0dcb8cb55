import { setTimeout as sleep } from 'node:timers/promises';
import type { CallCredential } from '@greenroom/shared/protocol/worker-api.ts';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { silentLogger } from '@greenroom/shared/runtime/logger.ts';
import { z } from 'zod';
import type { Config } from '../../src/config.ts';
import { createVault } from '../../src/tokens/vault.ts';
import { openCallCredential } from '../../src/voice/call-credentials.ts';
import { createVoiceProvider, type VoiceProvider } from '../../src/voice/provider.ts';
import type { ProviderAccess } from '../../src/voice/provider-access.ts';
import type { Rows } from './rows.ts';

/**
 * The calls of one session, and the voice provider's own answer about each.
 *
 * - The provider tells only a call's creator about it, and the database erases a credential as soon as our code takes the call for
 *   hung up. So the credentials are read while the interview runs.
 * - The question is another hang-up: "no such call" means that the call is over. A confirmation means that it was still open.
 */
export interface OpenedCall {
  callId: string;
  credential: CallCredential;
}

const rowsOf = z.array(
  z.object({ ordinal: z.number(), call_id: z.string().nullable(), credential_ciphertext: z.string().nullable() }),
);
const pollMs = 250;

export interface CallWatch {
  /** Stops watching. @returns every call that was seen */
  stop(): Promise<OpenedCall[]>;
}

/** Collects the calls of a session while it runs. */
export function watchCalls(rows: Rows, { keys }: Pick<Config, 'keys'>, sessionId: string): CallWatch {
  const vault = createVault(keys.credentials, ...(keys.previousCredentials === null ? [] : [keys.previousCredentials]));
  const seen = new Map<string, OpenedCall>();
  const stopping = new AbortController();
  const query = `realtime_calls?session_id=eq.${sessionId}&select=ordinal,call_id,credential_ciphertext`;
  const look = async () => {
    for (const { ordinal, call_id: callId, credential_ciphertext: sealed } of rowsOf.parse(await rows.read(query)))
      if (callId !== null && sealed !== null)
        seen.set(callId, { callId, credential: openCallCredential(vault, sealed, { session_id: sessionId, ordinal }) });
  };
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      await look();
      await sleep(pollMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  })();
  // A failure is reported by `stop`.
  watching.catch(() => undefined);
  return {
    stop: async () => {
      stopping.abort();
      await watching;
      return [...seen.values()];
    },
  };
}

export interface CallsVerdict {
  ok: boolean;
  detail: string;
}

/** Asks the provider about each call. A call that is still open is hung up by the question. */
export async function askAboutCalls(
  { voice, deadlines }: Pick<Config, 'voice' | 'deadlines'>,
  calls: OpenedCall[],
): Promise<CallsVerdict> {
  if (calls.length === 0)
    return { ok: false, detail: 'no call was seen, so the provider could not be asked about one' };
  const provider = createVoiceProvider({
    ...voice,
    clock: systemClock,
    requestMs: deadlines.providerRequestMs,
    logger: silentLogger(),
  });
  try {
    return await judge(provider, calls, voice);
  } finally {
    await provider.close();
  }
}

async function judge(provider: VoiceProvider, calls: OpenedCall[], standing: ProviderAccess): Promise<CallsVerdict> {
  const wrong: string[] = [];
  for (const { callId, credential } of calls) {
    const { kind } = await provider.hangUp(callId, credential, standing);
    if (kind === 'over') wrong.push(`${callId} was still open: the provider confirmed another hang-up`);
    if (kind === 'unclear') wrong.push(`the provider does not say whether ${callId} is over`);
  }
  return { ok: wrong.length === 0, detail: wrong.join('; ') || `${calls.length} over: the provider has no such call` };
}
