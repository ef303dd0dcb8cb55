import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { scopes } from '@greenroom/shared/protocol/access.ts';
import pg from 'pg';
import { egressPolicy } from '../../orchestrator/src/tenants/egress-policy.ts';

/** A tenant created without the API: its rows, Fly app and API key. */
export interface SeededTenant {
  id: string;
  slug: string;
  name: string;
  appName: string;
  apiKey: string;
}

export interface SeedOptions {
  /** Connection string of the role that owns the tables. */
  dbUrl: string;
  flyApiUrl: string;
  flyToken: string;
  flyOrg: string;
  slug: string;
  name: string;
  maxLiveSessions?: number;
  /** The app's create rate; Fly documents 1/s. */
  createsPerSecond?: number;
  /** Default: a new one. */
  apiKey?: string;
}

type AppOptions = Pick<SeedOptions, 'flyApiUrl' | 'flyToken' | 'flyOrg'>;

/** Creates the tenant's app at Fly with its egress policy. The stand-in keeps nothing, so a tenant of an earlier start needs its app again. */
export async function createFlyApp(
  { appName, slug }: Pick<SeededTenant, 'appName' | 'slug'>,
  options: AppOptions,
): Promise<void> {
  const post = async (path: string, body: object) => {
    const answer = await fetch(`${options.flyApiUrl}/v1/apps${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${options.flyToken}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`creating the Fly app ${appName}: HTTP ${answer.status} ${await answer.text()}`);
  };
  await post('', { app_name: appName, org_slug: options.flyOrg, network: `${slug}-net` });
  await post(`/${appName}/network_policies`, egressPolicy);
}

/** Creates a tenant with one Fly app on its own network and one API key that has every scope. */
export async function seedTenant(options: SeedOptions): Promise<SeededTenant> {
  const tenant = {
    id: randomUUID(),
    slug: options.slug,
    name: options.name,
    appName: `gr-${options.slug}-1`,
    apiKey: options.apiKey ?? `gr_live_${randomBytes(32).toString('base64url')}`,
  };
  await createFlyApp(tenant, options);

  const client = new pg.Client({ connectionString: options.dbUrl });
  await client.connect();
  try {
    await client.query('begin');
    await client.query('insert into public.tenants (id, name, slug, max_live_sessions) values ($1, $2, $3, $4)', [
      tenant.id,
      tenant.name,
      tenant.slug,
      options.maxLiveSessions ?? 50,
    ]);
    await client.query('insert into public.tenant_counters (tenant_id) values ($1)', [tenant.id]);
    await client.query(
      "insert into public.tenant_apps (name, tenant_id, network, status, creates_per_second) values ($1, $2, $3, 'ready', $4)",
      [tenant.appName, tenant.id, `${tenant.slug}-net`, options.createsPerSecond ?? 1],
    );
    await client.query(
      "insert into public.api_keys (tenant_id, name, prefix, key_hash, scopes) values ($1, 'demo', $2, $3, $4)",
      [tenant.id, tenant.apiKey.slice(0, 12), createHash('sha256').update(tenant.apiKey).digest('hex'), scopes],
    );
    await client.query('commit');
  } finally {
    await client.end();
  }
  return tenant;
}

/** The demo tenant of a deployment whose database is not this machine's, with a new API key that has every scope. */
export async function tenantByApi(publicUrl: string, operatorToken: string): Promise<SeededTenant> {
  const call = async <T>(path: string, body: object): Promise<T> => {
    const answer = await fetch(`${publicUrl}/api/tenants${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!answer.ok)
      throw new Error(`POST /api/tenants${path}: ${answer.status} ${(await answer.text()).slice(0, 300)}`);
    return (await answer.json()) as T;
  };
  const names = { slug: 'demo', name: 'Demo tenant' };
  const { id, apps } = await call<{ id: string; apps: Array<{ name: string }> }>('', names);
  const { key } = await call<{ key: string }>(`/${id}/api-keys`, { name: 'npm start', scopes, expires_in_days: 7 });
  return { id, ...names, appName: apps[0]?.name ?? '', apiKey: key };
}
