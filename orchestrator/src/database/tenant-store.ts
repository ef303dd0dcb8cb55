import { callerOf, type Database } from '@greenroom/shared/database/client.ts';
import { withdrawalEffect } from '@greenroom/shared/protocol/people.ts';
import { apiKeyView, type PoolRequest } from '@greenroom/shared/protocol/tenants.ts';
import { z } from 'zod';
import type { ActBy } from './audit-store.ts';
import { type Page, pageOf } from './page.ts';

/** Tenants: onboarding, quotas, members, keys, provider credentials, removal. Throws DatabaseError; refusals are values. */
const appRow = z.object({
  name: z.string(),
  network: z.string(),
  status: z.enum(['planned', 'ready', 'removing', 'removed']),
});
export type AppRow = z.output<typeof appRow>;

export const tenantRow = z.object({
  id: z.string(),
  slug: z.string(),
  name: z.string(),
  status: z.enum(['active', 'suspended', 'removing', 'removed']),
  settings: z.looseObject({ interviewer_template: z.string().optional() }),
  allowed_origins: z.array(z.string()),
  require_consent: z.boolean(),
  consent_text_version: z.string().nullable(),
  consent_text: z.string().nullable(),
  on_consent_withdrawn: withdrawalEffect,
  transcript_days: z.number().nullable(),
  video_days: z.number().nullable(),
  audit_days: z.number().nullable(),
  event_days: z.number().nullable(),
  usage_days: z.number().nullable(),
  max_live_sessions: z.number(),
  max_duration_ms: z.number(),
  starts_per_minute: z.number().nullable(),
  max_standby: z.number(),
  allowed_regions: z.array(z.string()).nullable(),
  live_sessions: z.number(),
  test: z.boolean(),
  live_tenant_id: z.string().nullable(),
  apps: z.array(appRow),
  pools: z.array(
    z.object({
      region: z.string(),
      floor: z.number(),
      ceiling: z.number(),
      hot: z.object({ floor: z.number(), ceiling: z.number() }),
    }),
  ),
  created_at: z.string(),
  updated_at: z.string(),
});
export type TenantRow = z.output<typeof tenantRow>;

const notFound = z.object({ kind: z.literal('not_found') });
const limitExceeded = z.object({ kind: z.literal('limit_exceeded'), limit: z.number() });
const planned = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('planned'), tenant: tenantRow }),
  z.object({ kind: z.literal('known'), tenant: tenantRow }),
  z.object({ kind: z.literal('slug_taken') }),
]);
const plannedTest = z.discriminatedUnion('kind', [
  z.object({ kind: z.enum(['planned', 'known']), tenant: tenantRow }),
  z.object({ kind: z.literal('is_test') }),
  notFound,
]);
const plannedApp = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('planned'), app: appRow }),
  z.object({ kind: z.literal('known'), app: appRow }),
  z.object({ kind: z.literal('name_taken') }),
  notFound,
]);
const updated = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('updated'), tenant: tenantRow }),
  z.object({ kind: z.literal('consent_text_fixed'), text_version: z.string() }),
  z.object({ kind: z.literal('changed_meanwhile') }),
  limitExceeded,
  notFound,
]);
const updatedPool = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('updated'), tenant: tenantRow }),
  z.object({ kind: z.literal('limit_exceeded'), limit: z.number(), left: z.number() }),
  notFound,
]);
const removal = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('removing'),
    live_sessions: z.number(),
    machines: z.number(),
    apps: z.array(z.string()),
  }),
  z.object({ kind: z.literal('removed') }),
  notFound,
]);
export type Removal = z.output<typeof removal>;

/** An app that must still be made at Fly (`planned`) or deleted there (`removing`). */
const debt = appRow.extend({ tenant_id: z.string() });
export type OnboardingDebt = z.output<typeof debt>;

const createdKey = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('created'), key: apiKeyView }),
  limitExceeded,
  notFound,
]);
const rotatedKey = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('rotated'), key: apiKeyView, previous: apiKeyView }),
  z.object({ kind: z.literal('already_rotated'), replaced_by: z.string() }),
  limitExceeded,
  notFound,
]);
const revokedKey = z.discriminatedUnion('kind', [z.object({ kind: z.literal('revoked'), key: apiKeyView }), notFound]);
const sealed = z.object({ ciphertext: z.string(), key_id: z.string() });
const sealedForProvider = sealed.extend({ base_url: z.string().nullable() });

/** A tenant's encrypted key for a provider. */
export interface NewCredential {
  provider: string;
  /** Null: the deployment's. */
  baseUrl: string | null;
  ciphertext: string;
  keyId: string;
}

export interface NewKey {
  name: string;
  prefix: string;
  hash: string;
  scopes: readonly string[];
  createdBy: string | null;
  expiresMs: number | null;
  apiVersion: string;
}
export type RotatedKey = Pick<NewKey, 'prefix' | 'hash'> & { apiVersion?: string | undefined };

export type TenantStore = ReturnType<typeof createTenantStore>;

export function createTenantStore(database: Database) {
  const call = callerOf(database);
  return {
    get: async (id: string): Promise<TenantRow | undefined> =>
      (await call('get_tenant', { p_tenant_id: id }, tenantRow.nullable())) ?? undefined,
    /** By slug. */
    list: (limit: number, afterSlug = '') =>
      call('list_tenants', { p_limit: limit, p_after_slug: afterSlug }, z.array(tenantRow)),
    plan: (slug: string, settings: object, by: ActBy) =>
      call('plan_tenant', { p_slug: slug, p_settings: settings, p_by: by }, planned),
    /** The test mode of a tenant, created if it does not exist. */
    planTest: (id: string, by: ActBy) => call('plan_test_tenant', { p_tenant_id: id, p_by: by }, plannedTest),
    planApp: (tenantId: string, name: string, network: string, by: ActBy) =>
      call('plan_app', { p_tenant_id: tenantId, p_name: name, p_network: network, p_by: by }, plannedApp),
    /** Renames a planned app whose name is taken at Fly. False if the app is no longer only planned. */
    renameApp: (name: string, newName: string) =>
      call('rename_planned_app', { p_name: name, p_new_name: newName }, z.boolean()),
    appReady: (name: string) => call('app_ready', { p_name: name }, z.boolean()),
    debts: (): Promise<OnboardingDebt[]> => call('onboarding_debts', {}, z.array(debt)),
    update: (id: string, changes: object, by: ActBy, ifUpdatedAt?: string) =>
      call(
        'update_tenant',
        { p_tenant_id: id, p_changes: changes, p_by: by, p_if_updated_at: ifUpdatedAt ?? null },
        updated,
      ),
    putPool: (id: string, region: string, { floor, ceiling, hot }: PoolRequest, by: ActBy) =>
      call(
        'put_pool_policy',
        {
          ...{ p_tenant_id: id, p_region: region, p_floor: floor, p_ceiling: ceiling },
          ...{ p_hot_floor: hot.floor, p_hot_ceiling: hot.ceiling, p_by: by },
        },
        updatedPool,
      ),
    /** Starts or continues a removal. */
    remove: (id: string, by: object): Promise<Removal> => call('remove_tenant', { p_tenant_id: id, p_by: by }, removal),
    removalsUnderWay: () => call('removals_under_way', {}, z.array(z.string())),
    appRemoved: (name: string) => call('app_removed', { p_name: name }, z.looseObject({ kind: z.string() })),
    putUser: (id: string, userId: string, role: string, by: ActBy) =>
      call(
        'put_tenant_user',
        { p_tenant_id: id, p_user_id: userId, p_role: role, p_by: by },
        z.object({ kind: z.enum(['updated', 'user_not_found', 'not_found']) }),
      ),
    removeUser: (id: string, userId: string, by: ActBy) =>
      call('remove_tenant_user', { p_tenant_id: id, p_user_id: userId, p_by: by }, z.boolean()),

    createKey: (id: string, key: NewKey, by: ActBy) =>
      call(
        'create_api_key',
        {
          p_tenant_id: id,
          p_name: key.name,
          p_prefix: key.prefix,
          p_key_hash: key.hash,
          p_scopes: key.scopes,
          p_by: by,
          p_created_by: key.createdBy,
          p_expires_ms: key.expiresMs,
          p_api_version: key.apiVersion,
        },
        createdKey,
      ),
    key: (id: string, keyId: string) =>
      call('get_api_key', { p_tenant_id: id, p_key_id: keyId }, apiKeyView.nullable()),
    keys: (page: Page) => call('list_api_keys', pageOf(page), z.array(apiKeyView)),
    /** Without a version, the new key keeps that of the old one. */
    rotateKey: (id: string, keyId: string, key: RotatedKey, overlapMs: number, by: ActBy) =>
      call(
        'rotate_api_key',
        {
          p_tenant_id: id,
          p_key_id: keyId,
          p_prefix: key.prefix,
          p_key_hash: key.hash,
          p_overlap_ms: overlapMs,
          p_by: by,
          p_api_version: key.apiVersion ?? null,
        },
        rotatedKey,
      ),
    revokeKey: (id: string, keyId: string, by: ActBy) =>
      call('revoke_api_key', { p_tenant_id: id, p_key_id: keyId, p_by: by }, revokedKey),

    putCredential: (id: string, { provider, baseUrl, ciphertext, keyId }: NewCredential, by: ActBy) =>
      call(
        'put_provider_credential',
        {
          p_tenant_id: id,
          p_provider: provider,
          p_base_url: baseUrl,
          p_ciphertext: ciphertext,
          p_key_id: keyId,
          p_by: by,
        },
        z.object({ kind: z.enum(['stored', 'not_found']) }),
      ),
    credential: async (id: string, provider: string) =>
      (await call(
        'get_provider_credential',
        { p_tenant_id: id, p_provider: provider },
        sealedForProvider.nullable(),
      )) ?? undefined,
    credentials: (id: string) =>
      call(
        'list_provider_credentials',
        { p_tenant_id: id },
        z.array(
          z.object({
            provider: z.string(),
            base_url: z.string().nullable(),
            created_at: z.string(),
            updated_at: z.string(),
          }),
        ),
      ),
    deleteCredential: (id: string, provider: string, by: ActBy) =>
      call('delete_provider_credential', { p_tenant_id: id, p_provider: provider, p_by: by }, z.boolean()),
    credentialsToRotate: (keyId: string) =>
      call(
        'provider_credentials_to_rotate',
        { p_key_id: keyId },
        z.array(sealedForProvider.extend({ tenant_id: z.string(), provider: z.string() })),
      ),
    /** False if it was replaced in the meantime. */
    rotateCredential: (id: string, provider: string, old: string, ciphertext: string, keyId: string) =>
      call(
        'rotate_provider_credential',
        {
          p_tenant_id: id,
          p_provider: provider,
          p_old_ciphertext: old,
          p_ciphertext: ciphertext,
          p_key_id: keyId,
        },
        z.boolean(),
      ),
  };
}
