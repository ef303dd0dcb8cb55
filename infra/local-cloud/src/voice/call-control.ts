import type { Credential } from './credentials.ts';

/**
 * Which credentials may attach a sideband to a call and hang it up. `creator`: only the one that created it, as measured live.
 * `account`: only a standing key, as in OpenAI's own sample. Nobody has shown that the first holds for every account.
 */
export type CallOwner = 'creator' | 'account';

export interface CallControl {
  may(call: { credential: Credential }, credential: Credential): boolean;
  give(owner: CallOwner): void;
  /** Switches whether calls stay open although they were hung up (which is still confirmed) or their peer is gone. */
  keep(kept: boolean): void;
  isKept(): boolean;
}

export function createCallControl(): CallControl {
  let current: CallOwner = 'creator';
  let isKept = false;
  return {
    may: (call, { kind, fingerprint }) =>
      current === 'account' ? kind === 'standing' : call.credential.fingerprint === fingerprint,
    give: (owner) => {
      current = owner;
    },
    keep: (kept) => {
      isKept = kept;
    },
    isKept: () => isKept,
  };
}
