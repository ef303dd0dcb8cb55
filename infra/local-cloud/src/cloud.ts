import path from 'node:path';
import { type LocalFly, startFly } from './fly/fly.ts';
import { type Supabase, startSupabase } from './supabase/supabase.ts';
import { startVideo, type VideoProvider } from './video/video.ts';
import { startVoiceProvider, type VoiceProvider } from './voice/provider.ts';

/**
 * Stand-ins for all outside services on one machine: Supabase, Fly, the voice provider and api.video, each
 * with its own server. They stop in the order of their dependencies: machines first, the database last.
 */
export interface LocalCloudOptions {
  /** State folder; created when missing. */
  dir: string;
  /** Folder of SQL migrations to apply. */
  migrationsDir: string;
  /** Public JWKs whose tokens the database accepts beside those of its own sign-in. */
  signingKeys?: Parameters<typeof startSupabase>[0]['signingKeys'];
  /** Base URLs of the orchestrators behind Fly's proxy. */
  orchestrators: () => string[];
  /** Fly's organisation token. */
  flyToken: string;
  /** Documented rate limits of Fly. Default true. */
  flyLimits?: boolean;
  /** Port of Fly's proxy: the public address. Default: any free one. */
  publicPort?: number;
  /** Key and certificate of Fly's proxy. Default: the public address is http. */
  publicTls?: NonNullable<Parameters<typeof startFly>[0]['proxyTls']>;
  /** Fly's latency profile. Default `zero`. */
  flyLatency?: NonNullable<Parameters<typeof startFly>[0]['latency']>;
  /** The scripted interview; see the voice provider. */
  voice?: Partial<Parameters<typeof startVoiceProvider>[0]>;
  /** Use the database that an earlier run left in `dir`, and sync writes to disk. Default false. */
  keep?: boolean;
  /** Receives each log line of a part. */
  log?: (part: string, line: string) => void;
}

export interface LocalCloud {
  supabase: Supabase;
  fly: LocalFly;
  voice: VoiceProvider;
  video: VideoProvider;
  /** Stops every part and throws all errors together. */
  stop(): Promise<void>;
}

export async function startLocalCloud(options: LocalCloudOptions): Promise<LocalCloud> {
  const log = options.log ?? (() => undefined);
  const started: Array<{ stop(): Promise<unknown> }> = [];
  const stopAll = async () => {
    const errors: unknown[] = [];
    for (const part of started.splice(0)) await part.stop().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw new AggregateError(errors, 'the local cloud did not stop cleanly');
  };
  const keep = <T extends { stop(): Promise<unknown> }>(part: T): T => {
    started.push(part);
    return part;
  };
  const starting = await Promise.allSettled([
    startFly({
      dir: path.join(options.dir, 'fly'),
      token: options.flyToken,
      orchestrators: options.orchestrators,
      limits: options.flyLimits ?? true,
      latency: options.flyLatency ?? 'zero',
      proxyPort: options.publicPort ?? 0,
      ...(options.publicTls ? { proxyTls: options.publicTls } : {}),
      log: (line) => log('fly', line),
    }).then(keep),
    startVoiceProvider({ ...options.voice }).then(keep),
    startVideo({}).then(keep),
    startSupabase({
      dir: path.join(options.dir, 'supabase'),
      migrationsDir: options.migrationsDir,
      keep: options.keep ?? false,
      ...(options.signingKeys ? { signingKeys: options.signingKeys } : {}),
      log: (line) => log('supabase', line),
    }).then(keep),
  ]);
  const [fly, voice, video, supabase] = starting;
  if (
    fly.status === 'rejected' ||
    voice.status === 'rejected' ||
    video.status === 'rejected' ||
    supabase.status === 'rejected'
  ) {
    await stopAll();
    throw new AggregateError(
      starting.flatMap((part) => (part.status === 'rejected' ? [part.reason as Error] : [])),
      'the local cloud did not start',
    );
  }
  // Stop machines before the database that they write to, in whatever order the parts started.
  started.splice(0, started.length, fly.value, voice.value, video.value, supabase.value);
  return { fly: fly.value, voice: voice.value, video: video.value, supabase: supabase.value, stop: stopAll };
}
