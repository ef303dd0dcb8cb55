import { parseArgs } from 'node:util';
import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { ConfigError } from '@greenroom/shared/runtime/environment.ts';
import { createLogger } from '@greenroom/shared/runtime/logger.ts';
import { readConfig } from '../config.ts';
import { createConnection } from '../database/connection.ts';
import { createFlyClient } from '../fly/client.ts';
import { createJsonClient, type JsonAnswer } from '../net/json-client.ts';
import { createDatabaseTokens } from '../tokens/database-tokens.ts';
import { createKeyRing } from '../tokens/keys.ts';
import { examine, isHealthy } from './doctor.ts';

/** `npm run doctor [-- --json]`: checks keys, models, Fly and Supabase with an orchestrator's environment. Exit code 1 if a check fails. */
type Config = ReturnType<typeof readConfig>;

async function modelsOf({ voice, deadlines }: Config): Promise<Pick<JsonAnswer, 'status' | 'body'>> {
  const headers: Record<string, string> =
    voice.provider === 'azure' ? { 'api-key': voice.apiKey } : { authorization: `Bearer ${voice.apiKey}` };
  const client = createJsonClient({ baseUrl: voice.baseUrl, connections: 1, requestMs: deadlines.providerRequestMs });
  try {
    return await client.ask({ method: 'GET', path: '/models', headers });
  } catch {
    return { status: 0, body: undefined };
  } finally {
    await client.close();
  }
}

const table = (rows: Array<[string, string, string]>): string =>
  rows.map(([status, check, detail]) => `${status.padEnd(8)}${check.padEnd(24)}${detail}`).join('\n');

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } });
  const config = readConfig(process.env);
  const logger = createLogger({ level: 'silent', component: 'doctor' });
  const keys = await createKeyRing([config.keys.db]);
  const tokens = createDatabaseTokens({ keys, issuer: config.publicUrl, clock: systemClock, workerTokenMs: 60_000 });
  const requestMs = config.deadlines.databaseRequestMs;
  const connection = createConnection({ ...config.supabase, accessToken: tokens.own, requestMs });
  const fly = createFlyClient({ ...config.fly, requestMs: config.deadlines.flyRequestMs, logger });
  try {
    const findings = await examine({
      models: () => modelsOf(config),
      wanted: {
        'realtime model': config.voice.model,
        'transcription model': config.voice.transcriptionModel,
        'evaluation model': config.voice.evaluationModel,
      },
      provider: config.voice.provider,
      flyReachable: fly.reachable,
      flyOrg: config.fly.org,
      databaseReachable: async () =>
        (await connection.database.rpc('session_routes', { p_session_ids: [] })).error === null,
      now: systemClock.now,
    });
    const text = values.json
      ? JSON.stringify({ ok: isHealthy(findings), findings })
      : table(findings.map(({ status, check, detail }) => [status, check, detail]));
    process.stdout.write(`${text}\n`);
    return isHealthy(findings) ? 0 : 1;
  } finally {
    await Promise.all([connection.close(), fly.close()]);
  }
}

main().then(
  (code) => process.exit(code),
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(error instanceof ConfigError ? 78 : 1);
  },
);
