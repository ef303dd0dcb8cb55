import path from 'node:path';
import { voices } from '@greenroom/shared/protocol/platform-api.ts';
import {
  parseDeadlines,
  readSettings,
  type Settings,
  type ValuesOf,
  variablesOf,
} from '@greenroom/shared/runtime/environment.ts';
import { z } from 'zod';
import {
  flag,
  groupRoles,
  headerList,
  httpUrl,
  httpUrls,
  iceServers,
  integer,
  json,
  key32,
  misplacedKeys,
  networks,
  operatorTokens,
  optional,
  signingKey,
  text,
} from './config-values.ts';
import { isRegion } from './regions/regions.ts';
import { samplers, type TracingConfig } from './tracing/recorder.ts';

/**
 * The settings of an orchestrator, read once from the environment. A new setting needs one line here and a
 * description in `.env.example`. Errors name the variable and never contain its value, because most values are
 * secrets.
 */
const settings = {
  host: ['HOST', text.default('0.0.0.0')],
  port: ['PORT', integer(0, 65_535).default(8080)],
  /**
   * The URL at which browsers and platforms reach this deployment, and the `iss` of browser tokens. No trailing
   * slash.
   */
  publicUrl: ['PUBLIC_URL', httpUrl],
  /** The URL at which workers reach it, and the audience of their OIDC tokens. @default PUBLIC_URL */
  workerApiUrl: ['WORKER_API_URL', optional(httpUrl)],
  deploymentId: [
    'DEPLOYMENT_ID',
    z.string().regex(/^[a-z0-9-]{1,63}$/, 'must be lowercase letters, digits and dashes'),
  ],
  logLevel: ['LOG_LEVEL', z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info')],
  /** The number of lost machines at which a session fails. */
  maxAttempts: ['MAX_ATTEMPTS', integer(1, 20).default(3)],
  /** Tests only: the crash point at which this process kills itself. */
  crashAt: ['CRASH_AT', optional(text)],
  /** Folder with the files of the candidate's room page. */
  roomDir: ['ROOM_DIR', text.default(path.resolve(import.meta.dirname, '../../client/dist'))],
  /** Folder with the files of the operators' dashboard. */
  dashboardDir: ['DASHBOARD_DIR', text.default(path.resolve(import.meta.dirname, '../dashboard/dist'))],
  /**
   * URL of the Edge Function that receives transcript entries which a browser could not send over its socket.
   */
  transcriptUploadUrl: ['TRANSCRIPT_UPLOAD_URL', optional(httpUrl)],
  /** Non-public networks that requests to tenants' URLs may reach. */
  outboundAllow: ['OUTBOUND_ALLOW', networks.default([])],
  /** Mean delay of the event loop, ms, above which requests that can wait are refused. */
  maxEventLoopDelayMs: ['MAX_EVENT_LOOP_DELAY_MS', integer(50, 60_000).default(1_000)],
  supabase: {
    url: ['SUPABASE_URL', httpUrl],
    publishableKey: ['SUPABASE_PUBLISHABLE_KEY', text],
  },
  ops: {
    host: ['OPS_HOST', text.default('127.0.0.1')],
    /** Port of `/metrics`, the operators' API and the dashboard. Unset: they are not served. */
    port: ['OPS_PORT', optional(integer(0, 65_535))],
    /** The URL at which operators' browsers reach the dashboard. Needed for OPERATOR_OIDC_ISSUER. */
    url: ['OPS_URL', optional(httpUrl)],
  },
  keys: {
    db: ['DB_SIGNING_KEY', json(signingKey, 'a private EC P-256 JWK with a kid')],
    join: [
      'JOIN_SIGNING_KEYS',
      json(
        z.object({ keys: z.array(signingKey).min(1) }).transform(({ keys }) => keys),
        'a JWK set of private EC P-256 keys, each with a kid',
      ),
    ],
    credentials: ['CREDENTIALS_KEY', key32],
    /** The previous encryption key. It is used to decrypt credentials until they are rotated. */
    previousCredentials: ['CREDENTIALS_KEY_PREVIOUS', optional(key32)],
  },
  access: {
    operators: ['OPERATOR_TOKENS', operatorTokens.default([])],
    /** A provider with which operators sign in to the dashboard. Without an issuer: operators' tokens only. */
    signOn: {
      issuer: ['OPERATOR_OIDC_ISSUER', optional(httpUrl)],
      clientId: ['OPERATOR_OIDC_CLIENT_ID', optional(text)],
      clientSecret: ['OPERATOR_OIDC_CLIENT_SECRET', optional(text)],
      scope: ['OPERATOR_OIDC_SCOPE', text.default('openid profile email groups')],
      roles: ['OPERATOR_OIDC_ROLES', groupRoles.default(new Map())],
    },
    /** Requests per minute. The same number may arrive in one burst. */
    perMinute: {
      key: ['API_CALLER_PER_MINUTE', integer(1, 10_000_000).default(6_000)],
      tenant: ['API_TENANT_PER_MINUTE', integer(1, 10_000_000).default(12_000)],
      joinAddress: ['JOIN_ADDRESS_PER_MINUTE', integer(1, 10_000_000).default(60)],
    },
  },
  fly: {
    apiUrl: ['FLY_API_URL', httpUrl.default('https://api.machines.dev')],
    token: ['FLY_API_TOKEN', text],
    org: ['FLY_ORG', text],
    oidcIssuer: ['FLY_OIDC_ISSUER', optional(httpUrl)],
    workerImage: [
      'WORKER_IMAGE',
      z.string().regex(/@sha256:[0-9a-f]{64}$/, 'must be pinned by digest: registry/name@sha256:…'),
    ],
    defaultRegion: [
      'DEFAULT_REGION',
      z.string().refine(isRegion, 'must be a region of Fly such as iad').default('iad'),
    ],
    guest: {
      cpu_kind: ['MACHINE_CPU_KIND', z.enum(['shared', 'performance']).default('shared')],
      cpus: ['MACHINE_CPUS', integer(1, 16).default(1)],
      memory_mb: ['MACHINE_MEMORY_MB', integer(256, 131_072).multipleOf(256, 'must be a multiple of 256').default(512)],
    },
  },
  voice: {
    provider: ['VOICE_PROVIDER', z.enum(['openai', 'azure']).default('openai')],
    /** `unified`: workers create calls with the standing API key instead of an ephemeral credential. */
    calls: ['REALTIME_CALLS', z.enum(['two_step', 'unified']).default('two_step')],
    standingKeyAccepted: ['ACCEPT_STANDING_KEY_IN_WORKERS', flag.default(false)],
    apiKey: ['OPENAI_API_KEY', text],
    baseUrl: ['OPENAI_BASE_URL', httpUrl.default('https://api.openai.com/v1')],
    /** Base URLs that tenants' own keys may have, beside the provider's public hosts. */
    tenantBaseUrls: ['PROVIDER_BASE_URLS', httpUrls.default([])],
    model: ['REALTIME_MODEL', text.default('gpt-realtime-2.1')],
    transcriptionModel: ['TRANSCRIPTION_MODEL', text.default('gpt-realtime-whisper')],
    /** Used for a call whose session the provider refuses because of the model above. */
    fallbackTranscriptionModel: ['TRANSCRIPTION_FALLBACK_MODEL', text.default('gpt-live-transcribe')],
    voice: ['REALTIME_VOICE', z.enum(voices).default('marin')],
    evaluationModel: ['EVALUATION_MODEL', text.default('gpt-6-luna')],
    simulated: ['VOICE_SIMULATED', flag.default(false)],
  },
  /** Relays between browsers and the voice provider. */
  relays: {
    servers: ['ICE_SERVERS', iceServers.default([])],
    /** Shared with the TURN servers (`use-auth-secret`): each session gets credentials of its own. */
    secret: ['TURN_SECRET', optional(text)],
  },
  /** Export of traces, with OpenTelemetry's own variables. Without an endpoint: none, and its libraries are not loaded. */
  tracing: {
    endpoint: ['OTEL_EXPORTER_OTLP_ENDPOINT', optional(httpUrl)],
    tracesEndpoint: ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', optional(httpUrl)],
    headers: ['OTEL_EXPORTER_OTLP_HEADERS', headerList.default({})],
    protocol: ['OTEL_EXPORTER_OTLP_PROTOCOL', z.enum(['http/protobuf']).default('http/protobuf')],
    serviceName: ['OTEL_SERVICE_NAME', text.default('greenroom-orchestrator')],
    sampler: ['OTEL_TRACES_SAMPLER', z.enum(samplers).default('parentbased_always_on')],
    samplerArg: ['OTEL_TRACES_SAMPLER_ARG', z.coerce.number().min(0).max(1).default(1)],
    disabled: ['OTEL_SDK_DISABLED', flag.default(false)],
  },
  video: {
    apiKey: ['API_VIDEO_KEY', optional(text)],
    url: ['API_VIDEO_URL', httpUrl.default('https://ws.api.video')],
    webhookSecret: ['API_VIDEO_WEBHOOK_SECRET', optional(text)],
  },
} as const satisfies Settings;

/**
 * The variables that an orchestrator reads, without the deadlines. A test compares them with `.env.example`.
 */
export const configVariables = variablesOf(settings).map(([name]) => name);

/** Checks across several variables. */
function contradictionsOf({
  voice,
  fly,
  supabase,
  keys,
  access,
  ops,
}: ValuesOf<typeof settings>): Array<[variable: string, message: string]> {
  const found = misplacedKeys([
    ['FLY_API_TOKEN', fly.token, 'Fly'],
    ['OPENAI_API_KEY', voice.apiKey, 'OpenAI'],
    ['SUPABASE_PUBLISHABLE_KEY', supabase.publishableKey, 'Supabase (publishable)'],
  ]);
  if (keys.join.some(({ kid, x }) => kid === keys.db.kid || x === keys.db.x))
    found.push([
      'JOIN_SIGNING_KEYS',
      'must not contain the key of DB_SIGNING_KEY: its holder can mint any database role',
    ]);
  const { issuer, clientId, clientSecret, roles } = access.signOn;
  if (issuer !== null) {
    const needed = [
      ...([
        ['OPERATOR_OIDC_CLIENT_ID', clientId !== null] as const,
        ['OPERATOR_OIDC_CLIENT_SECRET', clientSecret !== null],
      ] as const),
      ...([['OPERATOR_OIDC_ROLES', roles.size > 0] as const, ['OPS_URL', ops.url !== null]] as const),
    ] as const;
    for (const [variable, isSet] of needed) if (!isSet) found.push([variable, 'is needed with OPERATOR_OIDC_ISSUER']);
  }
  if (voice.calls === 'unified' && voice.provider === 'azure')
    found.push(['REALTIME_CALLS', 'must be two_step: Azure accepts calls with ephemeral credentials only']);
  if (voice.calls === 'unified' && !voice.standingKeyAccepted)
    found.push([
      'ACCEPT_STANDING_KEY_IN_WORKERS',
      'must be true for unified calls, because every worker then receives the standing API key',
    ]);
  if (voice.provider === 'azure' && !voice.baseUrl.endsWith('/openai/v1'))
    found.push(['OPENAI_BASE_URL', 'must be https://<resource>.openai.azure.com/openai/v1']);
  return found;
}

/** The organisation of an issuer of identity tokens, as the tokens name it: the last part of its path. */
export const organisationOf = (oidcIssuer: string): string => oidcIssuer.slice(oidcIssuer.lastIndexOf('/') + 1);

export type Config = ReturnType<typeof readConfig>;

/** Null without an issuer. `contradictionsOf` has checked that the rest is there. */
function signOnOf({ access: { signOn }, ops }: ValuesOf<typeof settings>) {
  const { issuer, clientId, clientSecret, scope, roles } = signOn;
  if (issuer === null) return null;
  return {
    ...{ issuer, clientId: clientId ?? '', clientSecret: clientSecret ?? '', scope, roles },
    dashboardUrl: ops.url ?? '',
  };
}

/** Null without an endpoint. */
function tracingOf({ tracing }: ValuesOf<typeof settings>): TracingConfig | null {
  const { endpoint, tracesEndpoint, disabled, protocol: _protocol, ...rest } = tracing;
  const url = tracesEndpoint ?? (endpoint === null ? null : `${endpoint}/v1/traces`);
  return disabled || url === null ? null : { url, ...rest };
}

/** Reads the configuration. Throws a ConfigError that names every missing or wrong variable. */
export function readConfig(environment: Record<string, string | undefined>) {
  const read = readSettings(settings, environment, contradictionsOf);
  const { apiKey, ...video } = read.video;
  return Object.freeze({
    ...read,
    signOn: signOnOf(read),
    /** Null if traces are not exported. */
    tracing: tracingOf(read),
    workerApiUrl: read.workerApiUrl ?? read.publicUrl,
    transcriptUploadUrl: read.transcriptUploadUrl ?? `${read.supabase.url}/functions/v1/interview-transcript`,
    fly: { ...read.fly, oidcIssuer: read.fly.oidcIssuer ?? `https://oidc.fly.io/${read.fly.org}` },
    /** Null if no API key for api.video is set. */
    video: apiKey === null ? null : { ...video, apiKey },
    deadlines: parseDeadlines(environment),
  });
}
