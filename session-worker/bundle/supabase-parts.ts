/**
 * Takes the place of supabase-js's clients for auth, realtime, storage and functions in the bundle (build.ts): the worker
 * reads rows and calls functions, and each of these would be parsed, made and kept for nothing. supabase-js makes a realtime
 * and a storage client in any case and tells the former its token; whatever else were asked of them fails loudly.
 */
class Absent {}

export class RealtimeClient extends Absent {
  setAuth(): void {}
}
export class StorageClient extends Absent {}
export class AuthClient extends Absent {}
export class FunctionsClient extends Absent {}
export class StorageApiError extends Error {}
export class FunctionsError extends Error {}
export class FunctionsFetchError extends FunctionsError {}
export class FunctionsHttpError extends FunctionsError {}
export class FunctionsRelayError extends FunctionsError {}
export const FunctionRegion = {};
