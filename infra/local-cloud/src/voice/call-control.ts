import type { Credential } from './credentials.ts';

/**
 * Which credentials may attach a sideband to a call and hang it up. `creator`: only the one that created it, as measured live.
 * `account`: only a standing key, as in OpenAI's own sample. Nobody has shown that the first holds for every account.
 */
export type CallOwner = 'creator' | 'account';

export interface CallControl {
  may(call: { credential: Credential }, credential: Credential): boolean;
  give(owner: CallOwner): void;
}

export function createCallControl(): CallControl {
  let current: CallOwner = 'creator';
  return {
    may: (call, { kind, fingerprint }) =>
      current === 'account' ? kind === 'standing' : call.credential.fingerprint === fingerprint,
    give: (owner) => {
      current = owner;
    },
  };
}
