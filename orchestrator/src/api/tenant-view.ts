import type { ChangeTenantRequest, CreateTenantRequest, TenantView } from '@greenroom/shared/protocol/tenants.ts';
import type { TenantRow } from '../database/tenant-store.ts';

/** Tenants between the API's words and the database's. */
export function viewTenant(row: TenantRow): TenantView {
  const { settings, require_consent, consent_text_version, max_duration_ms, apps, pools, ...shown } = row;
  const text = consent_text_version === null ? undefined : settings.consent_texts?.[consent_text_version];
  return {
    ...shown,
    consent: { required: require_consent, text_version: consent_text_version, text: text ?? null },
    max_duration_minutes: max_duration_ms / 60_000,
    apps: apps.map(({ name, network, status }) => ({ name, network, status })),
    pools,
  };
}

/**
 * The changes as `update_tenant` takes them. Texts are kept by version: a session that was made under an older one still
 * shows that one.
 */
export function changesOf(
  body: Omit<CreateTenantRequest, 'slug'> | ChangeTenantRequest,
  settings: TenantRow['settings'],
): Record<string, unknown> {
  const { consent, max_duration_minutes, ...rest } = body;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return {
    ...given,
    ...(max_duration_minutes === undefined ? {} : { max_duration_ms: max_duration_minutes * 60_000 }),
    ...(consent === undefined ? {} : consentChanges(consent, settings)),
  };
}

function consentChanges(consent: NonNullable<ChangeTenantRequest['consent']>, settings: TenantRow['settings']) {
  const { required, text_version: version, text } = consent;
  const texts = settings.consent_texts ?? {};
  return {
    require_consent: required,
    ...(version === undefined ? {} : { consent_text_version: version }),
    ...(version === undefined || text === undefined
      ? {}
      : { settings: { ...settings, consent_texts: { ...texts, [version]: text } } }),
  };
}
