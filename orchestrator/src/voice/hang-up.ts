import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { CallStore } from '../database/call-store.ts';
import type { OwedCall } from '../database/rows.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import { callContext, type Vault } from '../tokens/vault.ts';
import type { VoiceProvider } from './provider.ts';

/**
 * Pays the debts of dead workers: realtime calls that nobody hung up. The browser would talk on, and be paid for, up to
 * the provider's cap.
 *
 * H1  Only the credential that created a call can end it. A call whose id was never learnt, or older than the provider's
 *     cap, cannot be under way by anything we could do: its row is settled.
 */
export interface HangUps {
  /** One round: takes what is owed and tries each once. */
  run(): Promise<void>;
}

/** The provider ends every call at this age. */
const callCapMs = 3_600_000;
const retryMs = 5_000;
const perRound = 20;

export interface HangUpDeps {
  calls: Pick<CallStore, 'takeOwed' | 'recordHangUp'>;
  voice: Pick<VoiceProvider, 'hangUp'>;
  vault: Vault;
  logger: Logger;
}

export function createHangUps({ calls, voice, vault, logger }: HangUpDeps): HangUps {
  const credentialOf = (call: OwedCall): string | undefined => {
    if (call.credential_ciphertext === null) return undefined;
    try {
      return vault.open(call.credential_ciphertext, callContext(call.session_id, call.ordinal));
    } catch (error) {
      logger.error({ session_id: call.session_id, ordinal: call.ordinal, error }, 'a call credential cannot be opened');
      return undefined;
    }
  };

  const settle = async (call: OwedCall): Promise<void> => {
    const credential = credentialOf(call);
    const beyondReach = call.call_id === null || credential === undefined || call.age_ms > callCapMs; // H1
    crashPoint('hang_up.taken');
    const over = beyondReach || (await voice.hangUp(call.call_id as string, credential as string)).kind === 'over';
    crashPoint('hang_up.done');
    if (over) await calls.recordHangUp(call.id);
    const fields = {
      session_id: call.session_id,
      ordinal: call.ordinal,
      call_id: call.call_id,
      attempts: call.attempts,
    };
    logger.info({ ...fields, outcome: over ? 'over' : 'tried' }, "a dead worker's call");
  };

  return {
    run: async () => {
      for (const call of await calls.takeOwed(perRound, retryMs)) await settle(call);
    },
  };
}
