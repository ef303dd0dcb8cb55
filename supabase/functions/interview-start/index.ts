import { createRemoteJWKSet } from 'jose';
import { answers, createHealth } from '../_shared/health.ts';
import { createCors, listOf, needed } from '../_shared/http.ts';
import { createStart } from '../_shared/start.ts';

// Environment: ORCHESTRATOR_URL; ALLOWED_ORIGINS, comma-separated. Supabase sets SUPABASE_URL.
const supabaseUrl = needed('SUPABASE_URL', Deno.env.get('SUPABASE_URL'));
const orchestratorUrl = needed('ORCHESTRATOR_URL', Deno.env.get('ORCHESTRATOR_URL'));

Deno.serve(
  createStart({
    orchestratorUrl,
    supabaseUrl,
    keys: createRemoteJWKSet(new URL(`${supabaseUrl}/auth/v1/.well-known/jwks.json`)),
    cors: createCors(
      listOf(Deno.env.get('ALLOWED_ORIGINS')),
      'authorization, content-type, idempotency-key, greenroom-tenant, prefer, apikey, x-client-info',
    ),
    send: fetch,
    limitMs: 65_000,
    health: createHealth({ orchestrator: answers(orchestratorUrl) }),
  }),
);
