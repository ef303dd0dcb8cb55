import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startLocalCloud } from '@greenroom/local-cloud/cloud.ts';
import { makeDeploymentKeys } from '../stack/keys.ts';

/** The local cloud with our migrations, and the environment that leads to it. */
export async function standIns(): Promise<{ environment: Record<string, string>; stop(): Promise<void> }> {
  const dir = mkdtempSync(path.join(tmpdir(), 'gr-contract-'));
  const keys = await makeDeploymentKeys();
  const flyToken = `fo1_${randomUUID()}`;
  const cloud = await startLocalCloud({
    dir,
    migrationsDir: path.resolve(import.meta.dirname, '../../supabase/migrations'),
    signingKeys: [keys.dbPublic],
    orchestrators: () => [],
    flyToken,
  });
  const { fly, supabase, voice, video } = cloud;
  fly.registerImage('nginx:alpine', { command: [process.execPath, '-e', 'setInterval(() => {}, 1000)'] });
  return {
    environment: {
      FLY_API_URL: fly.apiUrl,
      FLY_API_TOKEN: flyToken,
      FLY_ORG: 'local',
      SUPABASE_URL: supabase.url,
      SUPABASE_PUBLISHABLE_KEY: supabase.publishableKey,
      SUPABASE_SECRET_KEY: supabase.secretKey,
      DB_SIGNING_KEY: JSON.stringify(keys.db),
      OPENAI_API_KEY: voice.apiKey,
      OPENAI_BASE_URL: `${voice.url}/v1`,
      API_VIDEO_URL: video.url,
      API_VIDEO_KEY: video.apiKey,
    },
    stop: async () => {
      await cloud.stop();
      rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}
