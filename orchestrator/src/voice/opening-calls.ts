import { DatabaseError } from '@greenroom/shared/database/client.ts';
import { AppError } from '@greenroom/shared/errors/app-error.ts';
import type { OpenCallResponse, wrongOrdinal } from '@greenroom/shared/protocol/worker-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { z } from 'zod';
import type { CallOf, CallStore, Opened } from '../database/call-store.ts';
import type { SessionRow } from '../database/rows.ts';
import { crashPoint } from '../runtime/crash-points.ts';
import type { Vault } from '../tokens/vault.ts';
import { sealCallCredential } from './call-credentials.ts';
import { type InterviewerOptions, realtimeSession } from './interviewer.ts';
import type { ProviderFailure, VoiceProvider } from './provider.ts';
import type { ProviderAccess, ProviderAccesses } from './provider-access.ts';
import { scriptedBaseUrl, scriptedCredential, scriptedSessionOf } from './scripted.ts';

/**
 * Opens a realtime call: its row first, then its ephemeral credential.
 *
 * - The row exists before the credential is minted, and the encrypted credential is stored before the worker gets it. The call can
 *   therefore be hung up whatever crashes.
 * - A credential can start calls only as long as the session may last.
 * - If the provider refuses the session because of its transcription model, the fallback model is tried once: without any
 *   transcription there would be no evaluation. Where nothing is minted (`REALTIME_CALLS=unified`), nothing is tried.
 * - The provider is not asked for a call of a test session.
 */
export interface CallOpenerDeps {
  calls: Pick<CallStore, 'open' | 'record'>;
  voice: Pick<VoiceProvider, 'mint'>;
  vault: Vault;
  clock: Clock;
  interviewer: InterviewerOptions & { fallbackTranscriptionModel: string };
  providerAccess: Pick<ProviderAccesses, 'of'>;
}

/** SQLSTATE of `app.guard_call`. */
const noConsent = 'GR006';
const minLifeS = 10;
const maxLifeS = 7_200;

/** Lifetime of the credential: the remaining time of the session. */
function lifeSeconds(session: SessionRow, nowMs: number): number {
  const startedMs = session.started_at === null ? nowMs : Date.parse(session.started_at);
  const leftS = Math.floor((startedMs + session.max_duration_ms - nowMs) / 1_000);
  return Math.min(maxLifeS, Math.max(minLifeS, leftS));
}

const failureCodes = {
  authFailed: 'provider_auth_failed',
  rateLimited: 'provider_rate_limited',
  unavailable: 'provider_unavailable',
  transcriptionRefused: 'provider_unavailable',
} as const satisfies Record<ProviderFailure['kind'], string>;

/** @returns a function that opens a call. Throws AppError: fenced, call_not_allowed, consent_required, rate_limited, conflict, provider_…. */
export function createCallOpener(deps: CallOpenerDeps) {
  const { calls, voice, vault, clock, interviewer } = deps;
  const openRow = async (of: CallOf): Promise<Opened> => {
    const opened = await calls.open(of).catch((error: unknown) => {
      const refused = error instanceof DatabaseError && error.sqlstate === noConsent;
      throw refused ? new AppError('consent_required', { cause: error }) : error;
    });
    switch (opened.kind) {
      case 'opened':
        return opened;
      case 'fenced':
        throw new AppError('fenced');
      case 'session_over':
        throw new AppError('call_not_allowed', { detail: 'The session is over.' });
      case 'rate_limited':
        throw new AppError('rate_limited', {
          detail: 'This session opens too many calls.',
          retryAfterS: Math.max(1, Math.ceil(opened.retry_after_ms / 1_000)),
        });
      case 'wrong_ordinal':
        throw new AppError('conflict', {
          detail: `The next call of this session is ${opened.next}.`,
          extensions: { next_ordinal: opened.next } satisfies z.output<typeof wrongOrdinal>,
        });
    }
  };

  /** Mints a credential for the session with this transcription model. */
  const mint = async (row: SessionRow, transcriptionModel: string, access: ProviderAccess, template: string | null) => {
    const session = realtimeSession(row, { ...interviewer, transcriptionModel }, template);
    const lifeS = lifeSeconds(row, clock.now());
    return { session, minted: await voice.mint(session, lifeS, row.session_id, access) };
  };
  const mintOrFallBack = async (row: SessionRow, access: ProviderAccess, template: string | null) => {
    const { transcriptionModel, fallbackTranscriptionModel } = interviewer;
    const first = await mint(row, transcriptionModel, access, template);
    if (first.minted.kind !== 'transcriptionRefused' || fallbackTranscriptionModel === transcriptionModel) return first;
    return mint(row, fallbackTranscriptionModel, access, template);
  };

  const fromProvider = async (row: SessionRow, template: string | null) => {
    const access = await deps.providerAccess.of(row.tenant_id);
    return { ...(await mintOrFallBack(row, access, template)), baseUrl: access.baseUrl };
  };
  const scripted = (row: SessionRow) => ({
    session: scriptedSessionOf(row),
    minted: {
      ...{ kind: 'minted' as const, value: scriptedCredential(), form: 'raw' as const },
      expiresAtMs: clock.now() + lifeSeconds(row, clock.now()) * 1_000,
    },
    baseUrl: scriptedBaseUrl,
  });

  return async (of: CallOf): Promise<OpenCallResponse> => {
    const { session: row, interviewer_template: template } = await openRow(of);
    crashPoint('call.opened');
    const { session, minted, baseUrl } = row.test ? scripted(row) : await fromProvider(row, template);
    if (minted.kind !== 'minted') throw new AppError(failureCodes[minted.kind]);
    crashPoint('call.minted');
    const credential = { value: minted.value, base_url: baseUrl, expires_at: minted.expiresAtMs };
    const { session_id, max_duration_ms } = row;
    const ciphertext = sealCallCredential(vault, credential, { session_id, ordinal: of.ordinal });
    const lifeMs = Math.max(0, minted.expiresAtMs - clock.now());
    if (!(await calls.record(of, { credential: { ciphertext, lifeMs } }))) throw new AppError('fenced');
    return { ordinal: of.ordinal, credential, form: minted.form, session, max_duration_ms };
  };
}
