import { errors } from 'jose';

/** Whether verification failed for the token's own sake. Everything else (no key set, no answer in time) may pass. */
export const isTokensFault = (error: unknown): boolean =>
  error instanceof errors.JOSEError && !keySetFaults.includes(error.code);

/** The generic one is what an answer of the key set's server that is not 200, or not JSON, is thrown as. */
const keySetFaults: string[] = [errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JOSEError.code];
