/**
 * The project's secret key. Supabase sets it for hosted functions; we cannot set variables whose names begin
 * with SUPABASE_.
 *
 * - SUPABASE_SECRET_KEYS: a JSON object {name: key}; the only variable in new projects. The key `default` is
 *   used, or else the first one.
 * - SUPABASE_SERVICE_ROLE_KEY: the legacy key, in projects that still have it.
 *
 * @throws an error that names the missing or wrong variable
 */
export function secretKeyOf(environment: (name: string) => string | undefined): string {
  const keys = environment('SUPABASE_SECRET_KEYS');
  const legacy = environment('SUPABASE_SERVICE_ROLE_KEY');
  if (!keys) {
    if (legacy) return legacy;
    throw new Error('SUPABASE_SECRET_KEYS is missing: the Edge Function runtime sets it');
  }
  const found = parse(keys);
  const key = found.default ?? Object.values(found)[0];
  if (typeof key === 'string' && key !== '') return key;
  throw new Error('SUPABASE_SECRET_KEYS holds no key: it must be {"default": "sb_secret_…"}');
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
