/** One event from the sideband: a type, and fields that have not been checked. */
export interface ProviderEvent {
  type: string;
  [field: string]: unknown;
}

export type Json = Record<string, unknown>;

/** The event in a frame, or undefined for anything that is not a JSON object with a `type`. */
export function parseProviderEvent(text: string): ProviderEvent | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof asObject(value).type === 'string' ? (value as ProviderEvent) : undefined;
  } catch {
    return undefined;
  }
}

export const asObject = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
export const asArray = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
/** A string that can be an id, or undefined. */
export const asId = (value: unknown): string | undefined =>
  typeof value === 'string' && /^[\w.:-]{1,128}$/.test(value) ? value : undefined;
export const asText = (value: unknown): string => (typeof value === 'string' ? value : '');
/** A count of milliseconds within a call, or undefined. */
export const asMs = (value: unknown): number | undefined =>
  typeof value === 'number' && value >= 0 && value <= 86_400_000 ? Math.round(value) : undefined;
