import type { ChangeTenantRequest, CreateTenantRequest, TenantView } from '@greenroom/shared/protocol/tenants.ts';
import type { TenantRow } from '../database/tenant-store.ts';

/** Tenants between the API's words and the database's. */
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
 * The changes as `update_tenant` takes them; `settings` goes as a whole. Texts are kept by version: a session that was made under an older one still
 * shows that one.
 */
export function changesOf(
  body: Omit<CreateTenantRequest, 'slug'> | ChangeTenantRequest,
  settings: TenantRow['settings'],
): Record<string, unknown> {
  const { consent, interviewer_template, max_duration_minutes, ...rest } = body;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return {
    ...given,
    ...(max_duration_minutes === undefined ? {} : { max_duration_ms: max_duration_minutes * 60_000 }),
    ...(consent === undefined ? {} : consentChanges(consent)),
    ...settingsChanges(body, settings),
  };
}

function settingsChanges(
  { consent, interviewer_template }: Pick<ChangeTenantRequest, 'consent' | 'interviewer_template'>,
  settings: TenantRow['settings'],
) {
  const { text_version: version, text } = consent ?? {};
  const texts = version === undefined || text === undefined ? {} : { [version]: text };
  if (interviewer_template === undefined && Object.keys(texts).length === 0) return {};
  const { interviewer_template: before, ...others } = settings;
  const template = interviewer_template === undefined ? before : interviewer_template;
  return {
    settings: {
      ...others,
      ...(Object.keys(texts).length === 0 ? {} : { consent_texts: { ...settings.consent_texts, ...texts } }),
      ...(template == null ? {} : { interviewer_template: template }),
    },
  };
}

const consentChanges = ({ required, text_version: version }: NonNullable<ChangeTenantRequest['consent']>) => ({
  require_consent: required,
  ...(version === undefined ? {} : { consent_text_version: version }),
});
