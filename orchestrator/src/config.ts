import path from 'node:path';
import { voices } from '@greenroom/shared/protocol/platform-api.ts';
import { parseDeadlines, parseEnvironment, withoutEndSlashes } from '@greenroom/shared/runtime/environment.ts';
import type { Deadlines } from '@greenroom/shared/session/deadlines.ts';
import type { JWK } from 'jose';
import { z } from 'zod';
import { isNetwork } from './net/addresses.ts';
import { isRegion } from './regions/regions.ts';
import { type OperatorToken, parseOperatorTokens } from './tokens/operator-tokens.ts';

/**
 * The environment of an orchestrator, read once. Every variable is described in `.env.example`.
 *
 * C1  A wrong variable is named; its value never is: most of them are secrets.
 */
const httpUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .transform((url) => withoutEndSlashes(url));
const text = z.string().min(1);

/** Parses JSON without ever showing it (C1). */
const json = <T extends z.ZodType>(schema: T, what: string) =>
  z.string().transform((value, context): z.output<T> => {
    const parsed = schema.safeParse(parseJson(value));
    if (parsed.success) return parsed.data;
    context.addIssue({ code: 'custom', message: `must be ${what}` });
    return z.NEVER;
  });

function parseJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

const signingKey = z.looseObject({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  kid: z.string().min(1),
  d: z.string().min(1),
  x: z.string().min(1),
  y: z.string().min(1),
}) as unknown as z.ZodType<JWK & { kid: string }>;

const key32 = z
  .string()
  .transform((value) => Buffer.from(value, 'base64'))
  .refine((key) => key.length === 32, 'must be 32 bytes in base64 (openssl rand -base64 32)');

const operatorTokens = z.string().transform((value, context): OperatorToken[] => {
  const parsed = parseOperatorTokens(value);
  if (parsed) return parsed;
  context.addIssue({ code: 'custom', message: 'must be name:sha256hex entries, separated by commas' });
  return z.NEVER;
});

/** Comma-separated networks in CIDR notation. */
const list = z
  .string()
  .transform((value) =>
    value
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  )
  .refine((entries) => entries.every(isNetwork), 'must be networks such as 127.0.0.0/8, separated by commas');

const flag = z.enum(['true', 'false']).transform((value) => value === 'true');
const integer = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

const environmentSchema = z.object({
  HOST: text.default('0.0.0.0'),
  PORT: integer(0, 65_535).default(8080),
  PUBLIC_URL: httpUrl,
  WORKER_API_URL: httpUrl.optional(),
  DEPLOYMENT_ID: z.string().regex(/^[a-z0-9-]{1,63}$/, 'must be lowercase letters, digits and dashes'),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  ROOM_DIR: text.default(path.resolve(import.meta.dirname, '../../client/dist')),
  SUPABASE_URL: httpUrl,
  SUPABASE_PUBLISHABLE_KEY: text,
  TRANSCRIPT_UPLOAD_URL: httpUrl.optional(),
  DB_SIGNING_KEY: json(signingKey, 'a private EC P-256 JWK with a kid'),
  JOIN_SIGNING_KEYS: json(
    z.object({ keys: z.array(signingKey).min(1) }),
    'a JWK set of private EC P-256 keys, each with a kid',
  ),
  CREDENTIALS_KEY: key32,
  CREDENTIALS_KEY_PREVIOUS: key32.optional(),
  OPERATOR_TOKENS: operatorTokens.default([]),
  API_CALLER_PER_MINUTE: integer(1, 10_000_000).default(6_000),
  API_TENANT_PER_MINUTE: integer(1, 10_000_000).default(12_000),
  JOIN_ADDRESS_PER_MINUTE: integer(1, 10_000_000).default(60),
  OUTBOUND_ALLOW: list.default([]),
  FLY_API_URL: httpUrl.default('https://api.machines.dev'),
  FLY_API_TOKEN: text,
  FLY_ORG: text,
  FLY_OIDC_ISSUER: httpUrl.optional(),
  WORKER_IMAGE: z.string().regex(/@sha256:[0-9a-f]{64}$/, 'must be pinned by digest: registry/name@sha256:…'),
  MAX_ATTEMPTS: integer(1, 20).default(3),
  CRASH_AT: text.optional(),
  DEFAULT_REGION: z.string().refine(isRegion, 'must be a region of Fly such as iad').default('iad'),
  MACHINE_CPU_KIND: z.enum(['shared', 'performance']).default('shared'),
  MACHINE_CPUS: integer(1, 16).default(1),
  MACHINE_MEMORY_MB: integer(256, 131_072).multipleOf(256, 'must be a multiple of 256').default(512),
  VOICE_PROVIDER: z.enum(['openai', 'azure']).default('openai'),
  REALTIME_CALLS: z.enum(['two_step', 'unified']).default('two_step'),
  ACCEPT_STANDING_KEY_IN_WORKERS: flag.default(false),
  OPENAI_API_KEY: text,
  OPENAI_BASE_URL: httpUrl.default('https://api.openai.com/v1'),
  REALTIME_MODEL: text.default('gpt-realtime-2.1'),
  TRANSCRIPTION_MODEL: text.default('gpt-realtime-whisper'),
  REALTIME_VOICE: z.enum(voices).default('marin'),
  EVALUATION_MODEL: text.default('gpt-6-luna'),
  VOICE_SIMULATED: flag.default(false),
  API_VIDEO_KEY: text.optional(),
  API_VIDEO_URL: httpUrl.default('https://ws.api.video'),
  API_VIDEO_WEBHOOK_SECRET: text.optional(),
});

/** The variables an orchestrator reads, beside the deadlines; a test compares them with `.env.example`. */
export const configVariables = Object.keys(environmentSchema.shape);

export interface Config {
  readonly host: string;
  readonly port: number;
  /** Where browsers and platforms reach this deployment; also the `iss` of browser tokens. No trailing slash. */
  readonly publicUrl: string;
  /** Where workers reach it; also the audience of their OIDC tokens. */
  readonly workerApiUrl: string;
  readonly deploymentId: string;
  readonly logLevel: string;
  /** How many machines a session may lose before it fails. */
  readonly maxAttempts: number;
  /** Tests only: the crash point at which this process kills itself. */
  readonly crashAt: string | null;
  /** Folder of the candidate's room page. */
  readonly roomDir: string;
  readonly supabase: { readonly url: string; readonly publishableKey: string };
  /** The Edge Function that takes what a browser could not send over its socket. */
  readonly transcriptUploadUrl: string;
  readonly keys: {
    readonly db: JWK & { kid: string };
    readonly join: readonly (JWK & { kid: string })[];
    readonly credentials: Buffer;
    /** What credentials were encrypted with before; for reading only, until they are rotated. */
    readonly previousCredentials: Buffer | null;
  };
  readonly access: {
    readonly operators: readonly OperatorToken[];
    /** Requests per minute, and as many at once. */
    readonly perMinute: { readonly key: number; readonly tenant: number; readonly joinAddress: number };
  };
  /** Networks that outbound requests to tenants' URLs may reach although they are not public. */
  readonly outboundAllow: readonly string[];
  readonly fly: {
    readonly apiUrl: string;
    readonly token: string;
    readonly org: string;
    readonly oidcIssuer: string;
    readonly workerImage: string;
    readonly defaultRegion: string;
    readonly guest: { readonly cpu_kind: string; readonly cpus: number; readonly memory_mb: number };
  };
  readonly voice: {
    readonly provider: 'openai' | 'azure';
    /** `unified`: workers make calls with the standing key itself. */
    readonly calls: 'two_step' | 'unified';
    readonly apiKey: string;
    readonly baseUrl: string;
    readonly model: string;
    readonly transcriptionModel: string;
    readonly voice: string;
    readonly evaluationModel: string;
    readonly simulated: boolean;
  };
  readonly video: { readonly apiKey: string; readonly url: string; readonly webhookSecret: string | null } | null;
  readonly deadlines: Deadlines;
}

type Environment = z.output<typeof environmentSchema>;

const flyOf = (e: Environment): Config['fly'] => ({
  apiUrl: e.FLY_API_URL,
  token: e.FLY_API_TOKEN,
  org: e.FLY_ORG,
  oidcIssuer: e.FLY_OIDC_ISSUER ?? `https://oidc.fly.io/${e.FLY_ORG}`,
  workerImage: e.WORKER_IMAGE,
  defaultRegion: e.DEFAULT_REGION,
  guest: { cpu_kind: e.MACHINE_CPU_KIND, cpus: e.MACHINE_CPUS, memory_mb: e.MACHINE_MEMORY_MB },
});

const voiceOf = (e: Environment): Config['voice'] => ({
  provider: e.VOICE_PROVIDER,
  calls: e.REALTIME_CALLS,
  apiKey: e.OPENAI_API_KEY,
  baseUrl: e.OPENAI_BASE_URL,
  model: e.REALTIME_MODEL,
  transcriptionModel: e.TRANSCRIPTION_MODEL,
  voice: e.REALTIME_VOICE,
  evaluationModel: e.EVALUATION_MODEL,
  simulated: e.VOICE_SIMULATED,
});

const videoOf = (e: Environment): Config['video'] =>
  e.API_VIDEO_KEY === undefined
    ? null
    : { apiKey: e.API_VIDEO_KEY, url: e.API_VIDEO_URL, webhookSecret: e.API_VIDEO_WEBHOOK_SECRET ?? null };

/** What no variable can tell by itself. */
const checkedSchema = environmentSchema.superRefine((e, context) => {
  const refuse = (name: string, message: string) => context.addIssue({ code: 'custom', path: [name], message });
  if (e.REALTIME_CALLS === 'unified' && e.VOICE_PROVIDER === 'azure')
    refuse('REALTIME_CALLS', 'must be two_step: Azure takes calls with ephemeral credentials only');
  if (e.REALTIME_CALLS === 'unified' && !e.ACCEPT_STANDING_KEY_IN_WORKERS)
    refuse(
      'ACCEPT_STANDING_KEY_IN_WORKERS',
      'must be true for unified calls: every worker then holds the standing key',
    );
  if (e.VOICE_PROVIDER === 'azure' && !e.OPENAI_BASE_URL.endsWith('/openai/v1'))
    refuse('OPENAI_BASE_URL', 'must be https://<resource>.openai.azure.com/openai/v1');
});

/** Reads the configuration. Throws ConfigError naming every variable that is missing or wrong. */
export function readConfig(environment: Record<string, string | undefined>): Config {
  const e = parseEnvironment(checkedSchema, environment);
  return Object.freeze({
    host: e.HOST,
    port: e.PORT,
    publicUrl: e.PUBLIC_URL,
    workerApiUrl: e.WORKER_API_URL ?? e.PUBLIC_URL,
    deploymentId: e.DEPLOYMENT_ID,
    logLevel: e.LOG_LEVEL,
    maxAttempts: e.MAX_ATTEMPTS,
    crashAt: e.CRASH_AT ?? null,
    roomDir: e.ROOM_DIR,
    supabase: { url: e.SUPABASE_URL, publishableKey: e.SUPABASE_PUBLISHABLE_KEY },
    transcriptUploadUrl: e.TRANSCRIPT_UPLOAD_URL ?? `${e.SUPABASE_URL}/functions/v1/interview-transcript`,
    keys: {
      db: e.DB_SIGNING_KEY,
      join: e.JOIN_SIGNING_KEYS.keys,
      credentials: e.CREDENTIALS_KEY,
      previousCredentials: e.CREDENTIALS_KEY_PREVIOUS ?? null,
    },
    access: {
      operators: e.OPERATOR_TOKENS,
      perMinute: {
        key: e.API_CALLER_PER_MINUTE,
        tenant: e.API_TENANT_PER_MINUTE,
        joinAddress: e.JOIN_ADDRESS_PER_MINUTE,
      },
    },
    outboundAllow: e.OUTBOUND_ALLOW,
    fly: flyOf(e),
    voice: voiceOf(e),
    video: videoOf(e),
    deadlines: parseDeadlines(environment),
  });
}
