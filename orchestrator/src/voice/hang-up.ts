import type { CallCredential } from '@greenroom/shared/protocol/worker-api.ts';
import type { Logger } from '@greenroom/shared/runtime/logger.ts';
import type { CallStore } from '../database/call-store.ts';
import type { OwedCall } from '../database/rows.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import { createLanes } from '../runtime/lanes.ts';
import type { Vault } from '../tokens/vault.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { openCallCredential } from './call-credentials.ts';
import type { VoiceProvider } from './provider.ts';
import type { ProviderAccess, ProviderAccesses } from './provider-access.ts';

/**
 * Hangs up realtime calls of workers that are gone. Otherwise the browser and the provider would go on, at our cost, up to the
 * provider's maximum duration.
 *
 * - The credential that created a call ends it. Where the provider refuses that one, the tenant's standing key is tried: it is
 *   documented nowhere which of them may, and a credential may have expired.
 * - A call stays on the list until it is hung up or certainly over: the provider has answered every hang-up for `missingMs` with "no
 *   such call"; or the call is older than the provider's maximum; or its call id was never stored, so no browser got its answer
 *   (the id is stored first) and no media flowed; or it belongs to a test session, whose calls exist only in their worker.
 * - No round waits for its calls: a provider that hangs delays neither the next round nor other tenants' calls.
 */
export interface HangUps {
  /** One round: takes the calls to hang up and starts one try for each. */
  run(): Promise<void>;
  /** Resolves when no hang-up is running. */
  idle(): Promise<void>;
}

/** The provider ends every call at this age. */
const callCapMs = 3_600_000;
const retryMs = 5_000;
const perRound = 20;

export interface HangUpDeps {
  calls: Pick<CallStore, 'takeOwed' | 'recordHangUp' | 'recordMissing'>;
  voice: Pick<VoiceProvider, 'hangUp'>;
  providerAccess: Pick<ProviderAccesses, 'of'>;
  vault: Vault;
  /** How long the provider must have answered "no such call", ms. */
  missingMs: number;
  logger: Logger;
  tracing: Pick<Tracing, 'forSession' | 'span'>;
}

export function createHangUps(deps: HangUpDeps): HangUps {
  const { calls, voice, providerAccess, vault, missingMs, logger, tracing } = deps;
  const lanes = createLanes({ total: 16, perLane: 4 });
  const underWay = new Set<string>();

  const credentialOf = (call: OwedCall): CallCredential | undefined => {
    if (call.credential_ciphertext === null) return undefined;
    try {
      return openCallCredential(vault, call.credential_ciphertext, call);
    } catch (error) {
      logger.error({ session_id: call.session_id, ordinal: call.ordinal, error }, 'a call credential cannot be opened');
      return undefined;
    }
  };

  /** If the tenant's own key cannot be read, only the call's credential is tried, and never the deployment's key. */
  const standingOf = ({ tenant_id, session_id, ordinal }: OwedCall): Promise<ProviderAccess | undefined> =>
    providerAccess.of(tenant_id).catch((error: unknown) => {
      logger.warn({ session_id, ordinal, error }, "the tenant's provider key cannot be read");
      return undefined;
    });

  /** Whether the call is over: hung up by us, or certainly ended without us. */
  const isOver = async (call: OwedCall): Promise<boolean> => {
    if (call.call_id === null || call.credential_ciphertext === null || call.age_ms > callCapMs) return true;
    if (call.test) return true;
    const credential = credentialOf(call);
    if (credential === undefined) return false;
    const { kind } = await voice.hangUp(call.call_id, credential, await standingOf(call));
    if (kind === 'over') return true;
    const missing = kind === 'missing';
    if (missing && call.missing_ms !== null && call.missing_ms >= missingMs) return true;
    if (missing || call.missing_ms !== null) await calls.recordMissing(call.id, missing);
    return false;
  };

  const settle = async (call: OwedCall): Promise<void> => {
    crashPoint('hang_up.taken');
    const over = await isOver(call);
    crashPoint('hang_up.done');
    if (over) await calls.recordHangUp(call.id);
    const { session_id, ordinal, call_id, attempts } = call;
    logger.info({ session_id, ordinal, call_id, attempts, outcome: over ? 'over' : 'tried' }, "a dead worker's call");
  };

  const attempt = (call: OwedCall): Promise<void> => {
    const { session_id, ordinal, attempts } = call;
    return tracing
      .span('hang up call', { fields: { ordinal, attempt: attempts } }, () => settle(call))
      .catch((error: unknown) => logger.warn({ session_id, error }, 'a call could not be hung up'));
  };

  const begin = (call: OwedCall): void => {
    if (underWay.has(call.id)) return;
    underWay.add(call.id);
    void lanes
      .add(call.tenant_id, () => tracing.forSession(call, () => attempt(call)))
      .finally(() => underWay.delete(call.id));
  };

  return {
    run: async () => {
      for (const call of await calls.takeOwed(perRound, retryMs)) begin(call);
    },
    idle: lanes.idle,
  };
}
