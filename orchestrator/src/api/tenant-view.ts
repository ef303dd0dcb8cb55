import type { ChangeTenantRequest, CreateTenantRequest, TenantView } from '@greenroom/shared/protocol/tenants.ts';
import type { TenantRow } from '../database/tenant-store.ts';

/** Converts tenants between the API's field names and the database's. */
export function viewTenant(row: TenantRow): TenantView {
  const { settings, require_consent, consent_text_version, consent_text, max_duration_ms, apps, pools, ...rest } = row;
  const { test, ...shown } = rest;
  return {
    ...shown,
    mode: test ? 'test' : 'live',
    interviewer_template: settings.interviewer_template ?? null,
    consent: { required: require_consent, text_version: consent_text_version, text: consent_text },
    max_duration_minutes: max_duration_ms / 60_000,
    apps: apps.map(({ name, network, status }) => ({ name, network, status })),
    pools,
  };
}

/**
 * The changes as `update_tenant` expects them. Within `settings`, omitted fields stay and null removes a field.
 * The database stores consent texts by version, so that a session created under an older version still shows that
 * text.
 */
export function changesOf(body: Omit<CreateTenantRequest, 'slug'> | ChangeTenantRequest): Record<string, unknown> {
  const { consent, interviewer_template, max_duration_minutes, ...rest } = body;
  const { required, text_version, text } = consent ?? {};
  return given({
    ...rest,
    max_duration_ms: max_duration_minutes === undefined ? undefined : max_duration_minutes * 60_000,
    require_consent: required,
    consent_text_version: text_version,
    consent_text: text,
    settings: interviewer_template === undefined ? undefined : { interviewer_template },
  });
}

/** Removes the fields that are undefined. */
const given = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
