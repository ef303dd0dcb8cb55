import { flySuite } from './fly.ts';
import { openAiSuite } from './openai.ts';
import type { Say, ServiceName, Suite } from './suite.ts';
import { supabaseSuite } from './supabase.ts';
import { videoSuite } from './video.ts';

/** The suite of a service for an environment, or why it cannot run there. */
type Environment = Readonly<Record<string, string | undefined>>;
export type Target = { suite: Suite; real: boolean } | { why: string };

const isReal = (url: string): boolean => !/^https?:\/\/(127\.|localhost|\[::1\])/.test(url);

/** The needed variables, or the names of those that are missing. */
function take<N extends string>(environment: Environment, names: readonly N[]): Record<N, string> | { why: string } {
  const missing = names.filter((name) => !environment[name]);
  if (missing.length > 0) return { why: `set ${missing.join(', ')}` };
  return Object.fromEntries(names.map((name) => [name, environment[name]])) as Record<N, string>;
}

const makers: Record<ServiceName, (environment: Environment, say: Say) => Target> = {
  fly: (environment, say) => {
    const set = take(environment, ['FLY_API_TOKEN', 'FLY_ORG'] as const);
    if ('why' in set) return set;
    const apiUrl = environment.FLY_API_URL ?? 'https://api.machines.dev';
    const suite = flySuite(
      {
        apiUrl,
        token: set.FLY_API_TOKEN,
        org: set.FLY_ORG,
        image: 'nginx:alpine',
        region: environment.DEFAULT_REGION ?? 'iad',
      },
      say,
    );
    return { suite, real: isReal(apiUrl) };
  },
  supabase: (environment, say) => {
    const set = take(environment, ['SUPABASE_URL', 'SUPABASE_PUBLISHABLE_KEY', 'DB_SIGNING_KEY'] as const);
    if ('why' in set) return set;
    const suite = supabaseSuite(
      {
        url: set.SUPABASE_URL.replace(/\/+$/, ''),
        publishableKey: set.SUPABASE_PUBLISHABLE_KEY,
        signingKey: set.DB_SIGNING_KEY,
        publicUrl: environment.PUBLIC_URL ?? 'https://contract.invalid',
        secretKey: environment.SUPABASE_SECRET_KEY,
      },
      say,
    );
    return { suite, real: isReal(set.SUPABASE_URL) };
  },
  openai: (environment, say) => {
    const set = take(environment, ['OPENAI_API_KEY'] as const);
    if ('why' in set) return set;
    const baseUrl = environment.OPENAI_BASE_URL ?? 'https://api.openai.com/v1';
    const suite = openAiSuite(
      {
        provider: 'openai',
        calls: 'two_step',
        baseUrl,
        apiKey: set.OPENAI_API_KEY,
        model: environment.REALTIME_MODEL ?? 'gpt-realtime-2.1',
        transcriptionModel: environment.TRANSCRIPTION_MODEL ?? 'gpt-realtime-whisper',
        fallbackTranscriptionModel: environment.TRANSCRIPTION_FALLBACK_MODEL ?? 'gpt-live-transcribe',
        voice: 'marin',
        evaluationModel: environment.EVALUATION_MODEL ?? 'gpt-6-luna',
      },
      say,
    );
    return { suite, real: isReal(baseUrl) };
  },
  video: (environment, say) => {
    const set = take(environment, ['API_VIDEO_KEY'] as const);
    if ('why' in set) return set;
    const url = environment.API_VIDEO_URL ?? 'https://ws.api.video';
    return { suite: videoSuite({ url, apiKey: set.API_VIDEO_KEY }, say), real: isReal(url) };
  },
};

/** @param say how the suite asks: over the network, or from a recording */
export const suiteOf = (service: ServiceName, environment: Environment, say: Say): Target =>
  makers[service](environment, say);

/** Secrets of the environment that could appear in an answer. */
export const secretsOf = (environment: Environment): string[] =>
  ['FLY_API_TOKEN', 'SUPABASE_PUBLISHABLE_KEY', 'SUPABASE_SECRET_KEY', 'OPENAI_API_KEY', 'API_VIDEO_KEY'].flatMap(
    (name) => environment[name] ?? [],
  );

/** Values that satisfy `suiteOf` where nothing is asked over the network. */
export const nowhere = {
  FLY_API_URL: 'https://fly.invalid',
  FLY_API_TOKEN: 'none',
  FLY_ORG: 'none',
  SUPABASE_URL: 'https://supabase.invalid',
  SUPABASE_PUBLISHABLE_KEY: 'none',
  OPENAI_BASE_URL: 'https://openai.invalid/v1',
  OPENAI_API_KEY: 'none',
  API_VIDEO_URL: 'https://video.invalid',
  API_VIDEO_KEY: 'none',
} as const satisfies Environment;
