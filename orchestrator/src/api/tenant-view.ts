import type { ChangeTenantRequest, CreateTenantRequest, TenantView } from '@greenroom/shared/protocol/tenants.ts';
import type { TenantRow } from '../database/tenant-store.ts';

/** Converts tenants between the API's field names and the database's. */
export function viewTenant(row: TenantRow): TenantView {
  const { settings, require_consent, consent_text_version, max_duration_ms, apps, pools, ...shown } = row;
  const text = consent_text_version === null ? undefined : settings.consent_texts?.[consent_text_version];
  return {
    ...shown,
    interviewer_template: settings.interviewer_template ?? null,
    consent: { required: require_consent, text_version: consent_text_version, text: text ?? null },
    max_duration_minutes: max_duration_ms / 60_000,
    apps: apps.map(({ name, network, status }) => ({ name, network, status })),
    pools,
  };
}

/**
 * The changes as `update_tenant` expects them. Within `settings`, omitted fields stay and null removes a field.
 * Consent texts are stored by version, so that a session created under an older version still shows that text.
 */
export function changesOf(body: Omit<CreateTenantRequest, 'slug'> | ChangeTenantRequest): Record<string, unknown> {
  const { consent, interviewer_template, max_duration_minutes, ...rest } = body;
  const { required, text_version, text } = consent ?? {};
  const settings = given({
    interviewer_template,
    consent_texts: text_version === undefined || text === undefined ? undefined : { [text_version]: text },
  });
  return given({
    ...rest,
    max_duration_ms: max_duration_minutes === undefined ? undefined : max_duration_minutes * 60_000,
    require_consent: required,
    consent_text_version: text_version,
    settings: Object.keys(settings).length === 0 ? undefined : settings,
  });
}

/** Removes the fields that are undefined. */
const given = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
