/**
 * The project's secret key, as hosted functions are given it. Names that begin with SUPABASE_ cannot be set by us.
 *
 * SUPABASE_SECRET_KEYS        a dictionary {name: key}; new projects have nothing else. `default` is taken, else the first.
 * SUPABASE_SERVICE_ROLE_KEY   the legacy key, of projects that still have it.
 * @throws naming what is missing or wrong
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
