import { systemClock } from '@greenroom/shared/runtime/clock.ts';
import { ConfigError } from '@greenroom/shared/runtime/environment.ts';
import { readConfig } from '../config.ts';
import { createConnection } from '../database/connection.ts';
import { createTenantStore } from '../database/tenant-store.ts';
import { createWebhookStore } from '../database/webhook-store.ts';
import { createDatabaseTokens } from '../tokens/database-tokens.ts';
import { createKeyRing } from '../tokens/keys.ts';
import { createVault } from '../tokens/vault.ts';
import { rotateCredentials } from './rotation.ts';

/**
 * `npm run rotate-credentials`: re-encrypts all stored credentials with the current CREDENTIALS_KEY. Set
 * CREDENTIALS_KEY_PREVIOUS to the previous key. It can run beside orchestrators and can be repeated. Exit code 0 only if no
 * credential is left under another key.
 */
async function main(): Promise<number> {
  const config = readConfig(process.env);
  const { credentials, previousCredentials } = config.keys;
  const vault = createVault(credentials, ...(previousCredentials === null ? [] : [previousCredentials]));
  const keys = await createKeyRing([config.keys.db]);
  const tokens = createDatabaseTokens({ keys, issuer: config.publicUrl, clock: systemClock, workerTokenMs: 60_000 });
  const connection = createConnection({
    ...config.supabase,
    accessToken: tokens.own,
    requestMs: config.deadlines.databaseRequestMs,
  });
  try {
    const { database } = connection;
    const rotated = await rotateCredentials({
      tenants: createTenantStore(database),
      webhooks: createWebhookStore(database),
      vault,
    });
    process.stdout.write(
      `${rotated.credentials} provider credentials and ${rotated.secrets} webhook secrets are now under the key ${vault.keyId}.\n`,
    );
    for (const what of rotated.failed)
      process.stderr.write(
        `${what} cannot be opened with any key that is set: set CREDENTIALS_KEY_PREVIOUS, or have it set anew.\n`,
      );
    return rotated.failed.length === 0 ? 0 : 1;
  } finally {
    await connection.close();
  }
}

main().then(
  (code) => process.exit(code),
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(error instanceof ConfigError ? 78 : 1);
  },
);
