/** Errors in the provider's format: `{"error":{message,type,param,code}}`. */
import type { WireReply } from '../faulty-route.ts';

export interface ApiErrorFields {
  message: string;
  type?: string;
  code?: string | null;
  param?: string | null;
}

export const errorBody = ({ message, type = 'invalid_request_error', code = null, param = null }: ApiErrorFields) => ({
  error: { message, type, param, code },
});

export const apiError = (status: number, fields: ApiErrorFields): WireReply => ({ status, body: errorBody(fields) });

export const invalidKey = apiError(401, { message: 'Incorrect API key provided.', code: 'invalid_api_key' });

/** The key's project is bound to a region. Seen at several projects: earendil-works/pi#956, agent-ecosystem/skill-validator#70. */
export const incorrectHostname = (host: string): WireReply =>
  apiError(401, {
    message: `Attempted to access resource with incorrect regional hostname. Please make your request to ${host}`,
    code: 'incorrect_hostname',
  });

// Recorded live for the hang-up of an ended call: there `param` is an empty string.
export const callNotFound = apiError(404, {
  message: 'No session found for the provided call_id',
  code: 'call_id_not_found',
  param: '',
});

const usual: Record<number, ApiErrorFields> = {
  400: { message: 'Invalid request.', code: 'invalid_value' },
  401: { message: 'Incorrect API key provided.', code: 'invalid_api_key' },
  403: { message: 'You are not allowed to do this.', code: 'permission_denied' },
  404: { message: 'Not found.' },
  429: { message: 'Rate limit reached.', type: 'requests', code: 'rate_limit_exceeded' },
  500: { message: 'The server had an error while processing your request.', type: 'server_error' },
  503: { message: 'The engine is currently overloaded.', type: 'service_unavailable_error', code: 'overloaded' },
};

/** The body that the provider usually sends with a status. */
export const usualBody = (status: number): unknown =>
  errorBody(
    usual[status] ?? { message: `Status ${status}.`, type: status >= 500 ? 'server_error' : 'invalid_request_error' },
  );
