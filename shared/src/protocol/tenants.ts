import * as z from 'zod';
import { roles, scope } from './access.ts';
import { plainText, text, timestamp, uuid } from './common.ts';
import { interviewerTemplate } from './interviewer-template.ts';
import { listOf } from './list.ts';
import { nameText } from './names.ts';
import { withdrawalEffect } from './people.ts';
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
  allowed_origins: z
    .array(origin)
    .max(50)
    .optional()
    .describe("Browser origins that may open a candidate's socket (empty: any) and call the API (empty: none)."),
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
    .optional()
    .describe("Whether an interview starts only after the candidate's recorded consent, and to which text."),
  on_consent_withdrawn: withdrawalEffect
    .optional()
    .describe(
      'What follows when a candidate withdraws consent, for sessions created from now on. Default `erase_interview`.',
    ),
  interviewer_template: interviewerTemplate
    .nullable()
    .optional()
    .describe(
      "The interviewer's instructions, instead of the default ones; null: the default. Placeholders: see interviewer-template.ts.",
    ),
  transcript_days: days(1).optional().describe("Days after a session's end; null: never deleted."),
  video_days: days(1).optional().describe("Days after a session's end; null: never deleted."),
  audit_days: days(30).optional().describe('Null: never deleted.'),
  event_days: days(30).optional().describe('Default 90. Null: never deleted.'),
  usage_days: days(90).optional().describe('Default 800. Null: never deleted.'),
};

/** Settings that only platform operators may change. */
const quotaFields = {
  max_live_sessions: z
    .number()
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe('At least 1: to admit no session, suspend the tenant.'),
  max_duration_minutes: z.number().int().min(1).max(180).optional(),
  starts_per_minute: z.number().int().min(1).max(100_000).nullable().optional(),
  max_standby: z.number().int().min(0).max(10_000).optional(),
  allowed_regions: z.array(regionCode).min(1).max(40).nullable().optional().describe('Null: any region.'),
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
  mode: z.enum(['live', 'test']),
  live_tenant_id: uuid.nullable().describe('Of a test mode: the live tenant to which it belongs.'),
  allowed_origins: z.array(z.string()),
  consent: z.object({ required: z.boolean(), text_version: z.string().nullable(), text: z.string().nullable() }),
  on_consent_withdrawn: withdrawalEffect,
  interviewer_template: z.string().nullable(),
  transcript_days: z.number().int().nullable(),
  video_days: z.number().int().nullable(),
  audit_days: z.number().int().nullable(),
  event_days: z.number().int().nullable(),
  usage_days: z.number().int().nullable(),
  max_live_sessions: z.number().int(),
  max_duration_minutes: z.number(),
  starts_per_minute: z.number().int().nullable(),
  max_standby: z.number().int(),
  allowed_regions: z.array(z.string()).nullable(),
  live_sessions: z.number().int(),
  apps: z
    .array(
      z.object({ name: z.string(), network: z.string(), status: z.enum(['planned', 'ready', 'removing', 'removed']) }),
    )
    .describe("Its Fly apps, each on the tenant's own private network. Sessions can start when one is `ready`."),
  pools: z.array(
    z.object({
      region: z.string(),
      floor: z.number().int(),
      ceiling: z.number().int(),
      hot: z.object({ floor: z.number().int(), ceiling: z.number().int() }),
    }),
  ),
  created_at: timestamp,
  updated_at: timestamp,
});
export type TenantView = z.output<typeof tenantView>;
export const tenantList = listOf(tenantView);

export const removalView = z.object({
  status: z.enum(['removing', 'removed']),
  live_sessions: z.number().int().describe('What must be gone first.'),
  machines: z.number().int(),
  apps: z.array(z.string()),
});

const poolSize = z.strictObject({
  floor: z.number().int().min(0).max(1_000),
  ceiling: z.number().int().min(0).max(1_000),
});

export const poolRequest = poolSize
  .extend({
    /** Machines that run before they have a session: a session that gets one is ready in the answer that creates it. */
    hot: poolSize.default({ floor: 0, ceiling: 0 }),
  })
  .refine((pool) => pool.floor <= pool.ceiling, { path: ['floor'], message: 'must not be above ceiling' })
  .refine(({ hot }) => hot.floor <= hot.ceiling, { path: ['hot', 'floor'], message: 'must not be above ceiling' });
export type PoolRequest = z.output<typeof poolRequest>;

/** Fly limits creates to one a second and app, so `count` apps create `count` machines a second. */
export const appsRequest = z.strictObject({ count: z.number().int().min(1).max(50) });

export const memberRequest = z.strictObject({ role: z.enum(roles) });

export const createApiKeyRequest = z.strictObject({
  name,
  scopes: z.array(scope).min(1).max(20).optional().describe('Default: sessions:read and sessions:write.'),
  expires_in_days: z
    .number()
    .int()
    .min(1)
    .max(3_650)
    .optional()
    .describe('Days until it expires, 1–3,650. Default: never.'),
});
export const rotateApiKeyRequest = z.strictObject({
  overlap_minutes: z
    .number()
    .int()
    .min(0)
    .max(10_080)
    .optional()
    .describe('How long the old key stays valid beside the new one, minutes, 0–10,080. Default 1,440.'),
  api_version: z
    .literal('newest')
    .optional()
    .describe("`newest`: the new key moves to the newest version of the API. Default: it keeps the old key's."),
});
export const apiKeyView = z.object({
  id: uuid,
  name: z.string(),
  prefix: z.string().describe('Its first characters, for recognition.'),
  scopes: z.array(z.string()),
  created_at: timestamp,
  expires_at: timestamp.nullable(),
  revoked_at: timestamp.nullable(),
  replaced_by: uuid.nullable(),
  api_version: z
    .string()
    .nullable()
    .describe('The version of the API that requests with this key get. Null: the newest.'),
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
  base_url: text(300)
    .regex(/^https?:\/\/\S+[^\s/]$/, 'must be a URL without a slash at its end')
    .nullable()
    .optional()
    .describe(
      'Where the key is valid, such as https://eu.api.openai.com/v1 for a project of that region. Must be a host of the provider. Default: that of the deployment.',
    ),
});
export const providerCredentialView = z.object({
  provider: z.string(),
  base_url: z.string().nullable().describe('Where the key is valid. Null: at the base URL of the deployment.'),
  created_at: timestamp,
  updated_at: timestamp,
});
export const providerCredentialList = listOf(providerCredentialView);
