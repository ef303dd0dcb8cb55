import { flySuite } from './fly.ts';
import { openAiSuite } from './openai.ts';
import type { ServiceName, Suite } from './suite.ts';
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

const makers: Record<ServiceName, (environment: Environment) => Target> = {
  fly: (environment) => {
    const set = take(environment, ['FLY_API_TOKEN', 'FLY_ORG'] as const);
    if ('why' in set) return set;
    const apiUrl = environment.FLY_API_URL ?? 'https://api.machines.dev';
    const suite = flySuite({
      apiUrl,
      token: set.FLY_API_TOKEN,
      org: set.FLY_ORG,
      image: 'nginx:alpine',
      region: environment.DEFAULT_REGION ?? 'iad',
    });
    return { suite, real: isReal(apiUrl) };
  },
  supabase: (environment) => {
    const set = take(environment, ['SUPABASE_URL', 'SUPABASE_PUBLISHABLE_KEY', 'DB_SIGNING_KEY'] as const);
    if ('why' in set) return set;
    const suite = supabaseSuite({
      url: set.SUPABASE_URL.replace(/\/+$/, ''),
      publishableKey: set.SUPABASE_PUBLISHABLE_KEY,
      signingKey: set.DB_SIGNING_KEY,
      publicUrl: environment.PUBLIC_URL ?? 'https://contract.invalid',
      secretKey: environment.SUPABASE_SECRET_KEY,
    });
    return { suite, real: isReal(set.SUPABASE_URL) };
  },
  openai: (environment) => {
    const set = take(environment, ['OPENAI_API_KEY'] as const);
    if ('why' in set) return set;
    const baseUrl = environment.OPENAI_BASE_URL ?? 'https://api.openai.com/v1';
    const suite = openAiSuite({
      provider: 'openai',
      calls: 'two_step',
      baseUrl,
      apiKey: set.OPENAI_API_KEY,
      model: environment.REALTIME_MODEL ?? 'gpt-realtime-2.1',
      transcriptionModel: environment.TRANSCRIPTION_MODEL ?? 'gpt-realtime-whisper',
      fallbackTranscriptionModel: environment.TRANSCRIPTION_FALLBACK_MODEL ?? 'gpt-live-transcribe',
      voice: 'marin',
      evaluationModel: environment.EVALUATION_MODEL ?? 'gpt-6-luna',
    });
    return { suite, real: isReal(baseUrl) };
  },
  video: (environment) => {
    const set = take(environment, ['API_VIDEO_KEY'] as const);
    if ('why' in set) return set;
    const url = environment.API_VIDEO_URL ?? 'https://ws.api.video';
    return { suite: videoSuite({ url, apiKey: set.API_VIDEO_KEY }), real: isReal(url) };
  },
};

export const suiteOf = (service: ServiceName, environment: Environment): Target => makers[service](environment);
