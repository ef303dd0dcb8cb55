/**
 * Refusals of the Machines API. The texts are those of the real API, because clients match on them.
 *
 * They are thrown anywhere below a route and turned into the answer in one place, so that all routes answer
 * alike.
 */
export interface ApiError extends Error {
  readonly httpStatus: number;
  readonly body: unknown;
}

export function apiError(httpStatus: number, error: string, code?: string): ApiError {
  const body = code === undefined ? { error } : { error, status: code };
  return Object.assign(new Error(error), { httpStatus, body });
}

export const isApiError = (error: unknown): error is ApiError => error instanceof Error && 'httpStatus' in error;

export const machineNotFound = () => apiError(404, 'machine not found');
export const appNotFound = (name: string) => apiError(404, `app '${name}' not found`);
export const failedPrecondition = (reason: string) => apiError(412, `failed_precondition: ${reason}`);
export const invalidArgument = (reason: string) => apiError(400, `invalid_argument: ${reason}`);

export const nameTaken = (machineId: string, name: string) =>
  apiError(
    409,
    `already_exists: unique machine name violation, machine ID ${machineId} already exists with name "${name}"`,
  );

export const leaseHeld = (machineId: string, owner: string, expiresAtMs: number) =>
  apiError(
    409,
    `machine ID ${machineId} lease currently held by ${owner}, expires at ${new Date(expiresAtMs).toISOString()}`,
  );
