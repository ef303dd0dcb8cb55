import { createClient } from '@supabase/supabase-js';
import { createLocalJWKSet, createRemoteJWKSet } from 'jose';
import { createCors, listOf, needed } from '../_shared/http.ts';
import { createTranscript, type Uploaded } from '../_shared/transcript.ts';

// Environment: PUBLIC_URL of the orchestrators; JOIN_JWKS, their public join keys (default: asked of PUBLIC_URL, which
// must answer then); ALLOWED_ORIGINS, comma-separated, default any: the token is the credential. SUPABASE_URL and the secret
// key are given by Supabase; the key is used for one SQL function.
const issuer = needed('PUBLIC_URL', Deno.env.get('PUBLIC_URL'));
const secretKey = Deno.env.get('SUPABASE_SECRET_KEY') ?? Deno.env.get('SUPABASE_SERVICE_ROLE_KEY');
const database = createClient(
  needed('SUPABASE_URL', Deno.env.get('SUPABASE_URL')),
  needed('SUPABASE_SECRET_KEY', secretKey),
  { auth: { persistSession: false, autoRefreshToken: false } },
);
const keySet = Deno.env.get('JOIN_JWKS');

async function upload(sessionId: string, tenantId: string, entries: unknown[]): Promise<Uploaded> {
  const parameters = { p_session_id: sessionId, p_tenant_id: tenantId, p_entries: entries };
  const { data, error } = await database.rpc('upload_transcript', parameters).abortSignal(AbortSignal.timeout(20_000));
  if (!error) return data as Uploaded;
  console.error('upload_transcript failed', error.code);
  return { kind: 'unavailable' };
}

Deno.serve(
  createTranscript({
    issuer,
    keys: keySet
      ? createLocalJWKSet(JSON.parse(keySet))
      : createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`)),
    cors: createCors(
      listOf(Deno.env.get('ALLOWED_ORIGINS') ?? '*'),
      'authorization, content-type, apikey, x-client-info',
    ),
    upload,
  }),
);
