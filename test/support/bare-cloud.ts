import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type LocalCloud, startLocalCloud } from '@greenroom/local-cloud/cloud.ts';
import { type DeploymentKeys, makeDeploymentKeys } from '@greenroom/tools/stack/keys.ts';

/**
 * The outside services as they are after an operator has created four accounts: an empty database, no orchestrator, no image.
 * `greenroom` deploys everything else.
 */
export interface BareCloud {
  dir: string;
  cloud: LocalCloud;
  keys: DeploymentKeys;
  flyToken: string;
  operatorToken: string;
  /** What the operator writes into `.env`. */
  variables: Record<string, string>;
  /** The same as a file. */
  envFile: string;
  stop(): Promise<void>;
}

export const flyOrg = 'local';

export async function startBareCloud(): Promise<BareCloud> {
  const dir = mkdtempSync(path.join(tmpdir(), 'gr-'));
  const keys = await makeDeploymentKeys();
  const flyToken = `fo1_${randomUUID()}`;
  const operatorToken = `gr_op_${randomBytes(32).toString('hex')}`;
  const migrationsDir = path.join(dir, 'no-migrations');
  mkdirSync(migrationsDir);
  const cloud = await startLocalCloud({
    dir,
    migrationsDir,
    signingKeys: [keys.dbPublic],
    orchestrators: () => [],
    flyToken,
    flyLimits: false,
    voice: { turns: 2, paceMs: 100 },
  });
  const { fly, supabase, voice, video } = cloud;
  const variables: Record<string, string> = {
    PUBLIC_URL: fly.proxyUrl,
    DEPLOYMENT_ID: 'production',
    SUPABASE_URL: supabase.url,
    SUPABASE_PUBLISHABLE_KEY: supabase.publishableKey,
    SUPABASE_DB_URL: supabase.dbUrl,
    DB_SIGNING_KEY: JSON.stringify(keys.db),
    JOIN_SIGNING_KEYS: JSON.stringify(keys.join),
    CREDENTIALS_KEY: keys.credentials,
    OPERATOR_TOKENS: `sre:${createHash('sha256').update(operatorToken).digest('hex')}`,
    GREENROOM_TOKEN: operatorToken,
    OUTBOUND_ALLOW: '127.0.0.0/8',
    FLY_API_URL: fly.apiUrl,
    FLY_API_TOKEN: flyToken,
    FLY_ORG: flyOrg,
    FLY_OIDC_ISSUER: fly.oidcIssuer(flyOrg),
    FLY_REGISTRY: fly.registryHost,
    OPENAI_API_KEY: voice.apiKey,
    OPENAI_BASE_URL: `${voice.url}/v1`,
    VOICE_SIMULATED: 'true',
    API_VIDEO_URL: video.url,
    API_VIDEO_KEY: video.apiKey,
  };
  const envFile = path.join(dir, 'env');
  writeEnvironment(envFile, variables);
  return {
    dir,
    cloud,
    envFile,
    keys,
    flyToken,
    operatorToken,
    variables,
    stop: async () => {
      await cloud.stop();
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** Writes variables in the format of `.env`. */
function writeEnvironment(file: string, variables: Record<string, string>): void {
  const lines = Object.entries(variables).map(([name, value]) => `${name}='${value}'`);
  writeFileSync(file, `${lines.join('\n')}\n`, { mode: 0o600 });
}
