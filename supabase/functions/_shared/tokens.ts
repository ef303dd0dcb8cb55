import { errors } from 'jose';

/** Whether verification failed because the token is bad. Other errors (key set missing or late) may be temporary. */
export const isTokensFault = (error: unknown): boolean =>
  error instanceof errors.JOSEError && !keySetFaults.includes(error.code);

/** jose throws the generic JOSEError if the key set's server answers with another status than 200 or without JSON. */
const keySetFaults: string[] = [errors.JWKSTimeout.code, errors.JWKSInvalid.code, errors.JOSEError.code];
