import * as z from 'zod';
import { roles, scope } from './access.ts';
import { plainText, text, timestamp, uuid } from './common.ts';
import { interviewerTemplate } from './interviewer-template.ts';
import { listOf } from './list.ts';
import { nameText } from './names.ts';
import { regionCode } from './platform-api.ts';

/** Tenants, their keys, members and provider credentials in the platform API. */

export const slug = text(40).regex(
  /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/,
  'must be 1–40 lowercase letters, digits and inner dashes',
);
const name = nameText(200);
const origin = text(200).regex(
  /^https?:\/\/[a-z0-9.-]+(:\d{1,5})?$/,
  'must be an origin such as https://app.example.com',
);
const days = (min: number) => z.number().int().min(min).max(3_650).nullable();

/** Settings that a tenant's own admins may change. */
const settingFields = {
  name: name.optional(),
  /** Browser origins that may open a candidate's socket (empty: any) and call the API (empty: none). */
  allowed_origins: z.array(origin).max(50).optional(),
  /** Whether an interview starts only after the candidate's recorded consent, and to which text. */
  consent: z
    .strictObject({
      required: z.boolean(),
      text_version: plainText(100).min(1).optional(),
      text: plainText(20_000).min(1).optional(),
    })
    .refine((c) => (!c.required && c.text === undefined) || c.text_version !== undefined, {
      path: ['text_version'],
      message: 'must name the text',
    })
    .optional(),
  /**
   * The interviewer's instructions, instead of the default ones; null: the default. Placeholders: see
   * interviewer-template.ts.
   */
  interviewer_template: interviewerTemplate.nullable().optional(),
  /** Days after a session's end; null: never deleted. */
  transcript_days: days(1).optional(),
  video_days: days(1).optional(),
  audit_days: days(30).optional(),
};

/** Settings that only platform operators may change. */
const quotaFields = {
  /** At least 1: to admit no session, suspend the tenant. */
  max_live_sessions: z.number().int().min(1).max(100_000).optional(),
  max_duration_minutes: z.number().int().min(1).max(180).optional(),
  starts_per_minute: z.number().int().min(1).max(100_000).nullable().optional(),
  max_standby: z.number().int().min(0).max(10_000).optional(),
  /** Null: any region. */
  allowed_regions: z.array(regionCode).min(1).max(40).nullable().optional(),
};
export const quotaFieldNames = [...Object.keys(quotaFields), 'status'];

export const createTenantRequest = z.strictObject({ slug, ...settingFields, ...quotaFields, name });
export type CreateTenantRequest = z.output<typeof createTenantRequest>;
export const changeTenantRequest = z
  .strictObject({ ...settingFields, ...quotaFields, status: z.enum(['active', 'suspended']).optional() })
  .refine((body) => Object.keys(body).length > 0, 'must contain a field to change');
export type ChangeTenantRequest = z.output<typeof changeTenantRequest>;

export const tenantView = z.object({
  id: uuid,
  slug: z.string(),
  name: z.string(),
  status: z.enum(['active', 'suspended', 'removing', 'removed']),
  allowed_origins: z.array(z.string()),
  consent: z.object({ required: z.boolean(), text_version: z.string().nullable(), text: z.string().nullable() }),
  interviewer_template: z.string().nullable(),
  transcript_days: z.number().int().nullable(),
  video_days: z.number().int().nullable(),
  audit_days: z.number().int().nullable(),
  max_live_sessions: z.number().int(),
  max_duration_minutes: z.number(),
  starts_per_minute: z.number().int().nullable(),
  max_standby: z.number().int(),
  allowed_regions: z.array(z.string()).nullable(),
  live_sessions: z.number().int(),
  /** Its Fly apps, each on the tenant's own private network. Sessions can start when one is `ready`. */
  apps: z.array(
    z.object({ name: z.string(), network: z.string(), status: z.enum(['planned', 'ready', 'removing', 'removed']) }),
  ),
  pools: z.array(z.object({ region: z.string(), floor: z.number().int(), ceiling: z.number().int() })),
  created_at: timestamp,
  updated_at: timestamp,
});
export type TenantView = z.output<typeof tenantView>;
export const tenantList = listOf(tenantView);

export const removalView = z.object({
  status: z.enum(['removing', 'removed']),
  /** What must be gone first. */
  live_sessions: z.number().int(),
  machines: z.number().int(),
  apps: z.array(z.string()),
});

export const poolRequest = z
  .strictObject({ floor: z.number().int().min(0).max(1_000), ceiling: z.number().int().min(0).max(1_000) })
  .refine((pool) => pool.floor <= pool.ceiling, { path: ['floor'], message: 'must not be above ceiling' });

/** Fly limits creates to one a second and app, so `count` apps create `count` machines a second. */
export const appsRequest = z.strictObject({ count: z.number().int().min(1).max(50) });

export const memberRequest = z.strictObject({ role: z.enum(roles) });

export const createApiKeyRequest = z.strictObject({
  name,
  /** Default: sessions:read and sessions:write. */
  scopes: z.array(scope).min(1).max(20).optional(),
  /** Days until it expires, 1–3,650. Default: never. */
  expires_in_days: z.number().int().min(1).max(3_650).optional(),
});
export const rotateApiKeyRequest = z.strictObject({
  /** How long the old key stays valid beside the new one, minutes, 0–10,080. Default 1,440. */
  overlap_minutes: z.number().int().min(0).max(10_080).optional(),
  /** `newest`: the new key moves to the newest version of the API. Default: it keeps the old key's. */
  api_version: z.literal('newest').optional(),
});
export const apiKeyView = z.object({
  id: uuid,
  name: z.string(),
  /** Its first characters, for recognition. */
  prefix: z.string(),
  scopes: z.array(z.string()),
  created_at: timestamp,
  expires_at: timestamp.nullable(),
  revoked_at: timestamp.nullable(),
  replaced_by: uuid.nullable(),
  /** The version of the API that requests with this key get. Null: the newest. */
  api_version: z.string().nullable(),
});
/** The key is shown once, because only its hash is stored. */
export const newApiKeyView = apiKeyView.extend({ key: z.string() });
export const apiKeyList = listOf(apiKeyView);

/**
 * Providers that a deployment can use. A tenant's key applies only if it is for the deployment's provider.
 */
export const providers = ['openai', 'azure'] as const;
export const providerCredentialRequest = z.strictObject({
  // Only characters that a header may contain, because the key is sent in one.
  api_key: text(500).regex(/^[\x21-\x7e]{8,500}$/, 'must be 8–500 printable characters without spaces'),
});
export const providerCredentialView = z.object({ provider: z.string(), created_at: timestamp, updated_at: timestamp });
export const providerCredentialList = listOf(providerCredentialView);
