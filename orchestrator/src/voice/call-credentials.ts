import { type CallCredential, callCredential } from '@greenroom/shared/protocol/worker-api.ts';
import { callContext, type Vault } from '../tokens/vault.ts';

/**
 * The stored form of a call's credential. Its base URL is sealed with it: the call is hung up where it was made, whatever key the tenant
 * has by then.
 */
interface OfCall {
  session_id: string;
  ordinal: number;
}

export const sealCallCredential = (vault: Vault, { value, base_url }: CallCredential, of: OfCall): string =>
  vault.seal(JSON.stringify({ value, base_url }), callContext(of.session_id, of.ordinal));

/** Throws if the ciphertext cannot be decrypted or belongs to another call. */
export const openCallCredential = (vault: Vault, ciphertext: string, of: OfCall): CallCredential =>
  callCredential.parse(JSON.parse(vault.open(ciphertext, callContext(of.session_id, of.ordinal))));
