import { createClient } from '@supabase/supabase-js';
import { createLocalJWKSet, createRemoteJWKSet } from 'jose';
import { secretKeyOf } from '../_shared/environment.ts';
import { answers, createHealth } from '../_shared/health.ts';
import { createCors, listOf, needed } from '../_shared/http.ts';
import { createTranscript, type Uploaded } from '../_shared/transcript.ts';
import { readUpload } from '../_shared/upload.ts';

// Environment:
// - PUBLIC_URL: the issuer in the orchestrators' tokens.
// - ORCHESTRATOR_URL: where the orchestrators answer. Default: PUBLIC_URL.
// - JOIN_JWKS: the orchestrators' public keys. Default: read from an orchestrator, which must then be reachable.
// - ALLOWED_ORIGINS: comma-separated. Default: any, because the token is the credential.
// Supabase sets SUPABASE_URL and the secret key, which is used to call one SQL function.
const issuer = needed('PUBLIC_URL', Deno.env.get('PUBLIC_URL'));
const orchestratorUrl = needed('ORCHESTRATOR_URL', Deno.env.get('ORCHESTRATOR_URL') ?? issuer);
const secretKey = secretKeyOf((name) => Deno.env.get(name));
const database = createClient(needed('SUPABASE_URL', Deno.env.get('SUPABASE_URL')), secretKey, {
  auth: { persistSession: false, autoRefreshToken: false },
});
const keySet = Deno.env.get('JOIN_JWKS');

async function upload(sessionId: string, tenantId: string, entries: unknown[]): Promise<Uploaded> {
  const parameters = { p_session_id: sessionId, p_tenant_id: tenantId, p_entries: entries };
  const answer = await database.rpc('upload_transcript', parameters).abortSignal(AbortSignal.timeout(20_000));
  const uploaded = readUpload(answer);
  if (uploaded.kind === 'unavailable' || uploaded.kind === 'refused')
    console.error('upload_transcript failed', answer.status, answer.error?.code);
  return uploaded;
}

/** A session that does not exist. Uploading to it tests the key, the grant and the function and writes nothing. */
const noSession = '00000000-0000-0000-0000-000000000000';
const databaseAnswers = async () => (await upload(noSession, noSession, [])).kind === 'not_found';

Deno.serve(
  createTranscript({
    issuer,
    keys: keySet
      ? createLocalJWKSet(JSON.parse(keySet))
      : createRemoteJWKSet(new URL(`${orchestratorUrl}/.well-known/jwks.json`)),
    cors: createCors(
      listOf(Deno.env.get('ALLOWED_ORIGINS') ?? '*'),
      'authorization, content-type, apikey, x-client-info',
    ),
    upload,
    health: createHealth({ database: databaseAnswers, orchestrator: answers(orchestratorUrl) }),
  }),
);
