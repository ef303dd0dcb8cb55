import { certificate } from './certificate.ts';
import type { Check, Context, Result } from './check.ts';
import { clock } from './clock.ts';
import { databaseDrift } from './database-drift.ts';
import { databaseOrchestrator, databaseWorker } from './database-roles.ts';
import { deploymentId } from './deployment-id.ts';
import { dns } from './dns.ts';
import { edgeFunctions } from './edge-functions.ts';
import { flyEgress } from './fly-egress.ts';
import { flyIssuer } from './fly-issuer.ts';
import { flyNetworkPolicies } from './fly-network-policies.ts';
import { flyOrganisation, flyReplay } from './fly-organisation.ts';
import { flyToken } from './fly-token.ts';
import { credentialsKey, joinKeys } from './key-rotation.ts';
import { migrations } from './migrations.ts';
import { publicUrl } from './public-url.ts';
import { securityHeaders } from './security-headers.ts';
import { signingKey } from './signing-key.ts';
import { plainHttp, tlsVersions } from './tls.ts';
import { videoKey } from './video-key.ts';
import { voiceEvaluationModel, voiceKey, voiceRealtimeModel, voiceTranscriptionModel } from './voice-models.ts';
import { voiceSession } from './voice-session.ts';
import { webhooks } from './webhooks.ts';
import { workerImage } from './worker-image.ts';

/** Every check, in the order in which they are shown. A new check is a file of its own and one line here and in docs/doctor.md. */
export const checks: readonly Check[] = [
  clock,
  dns,
  certificate,
  tlsVersions,
  plainHttp,
  publicUrl,
  securityHeaders,
  joinKeys,
  flyToken,
  flyOrganisation,
  flyIssuer,
  flyReplay,
  flyEgress,
  flyNetworkPolicies,
  deploymentId,
  workerImage,
  signingKey,
  databaseOrchestrator,
  databaseWorker,
  migrations,
  databaseDrift,
  credentialsKey,
  edgeFunctions,
  voiceKey,
  voiceRealtimeModel,
  voiceTranscriptionModel,
  voiceEvaluationModel,
  voiceSession,
  videoKey,
  webhooks,
];

export type Finding = Result & { id: string; means: string };

const limitMs = 120_000;

async function examineOne({ id, means, run }: Check, context: Context): Promise<Finding> {
  const late = new Promise<Result>((resolve) => {
    setTimeout(resolve, limitMs, {
      status: 'fail',
      detail: `No result after ${limitMs / 1_000} s.`,
      fix: 'Run greenroom doctor again, from another network too.',
    }).unref();
  });
  const result = await Promise.race([run(context), late]).catch(
    (error: Error): Result => ({
      status: 'fail',
      detail: error.message,
      fix: 'Correct what the message names, then run greenroom doctor again.',
    }),
  );
  return { id, means, ...result };
}

/** Runs the checks at the same time. @param live also those that make something at a service */
export const examine = (context: Context, live: boolean, among = checks): Promise<Finding[]> =>
  Promise.all(among.filter((check) => live || !check.live).map((check) => examineOne(check, context)));

export const isHealthy = (findings: Finding[]): boolean => findings.every(({ status }) => status !== 'fail');
