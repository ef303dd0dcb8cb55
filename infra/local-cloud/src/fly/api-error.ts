/**
 * What the Machines API answers when it refuses. Texts are those seen in the wild; clients match on them.
 *
 * Thrown anywhere below a route and turned into the answer at one place, so the body cannot drift between routes.
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
