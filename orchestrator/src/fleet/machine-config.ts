import type { Intent } from '../database/rows.ts';

/** The settings that all machines of this deployment share. */
export interface MachineTemplate {
  deploymentId: string;
  guest: { readonly cpu_kind: string; readonly cpus: number; readonly memory_mb: number };
  /** Environment of every worker. Must not contain secrets: anybody who can read the machine's config can read it. */
  env: Record<string, string>;
  /** Time from SIGTERM to SIGKILL, ms. */
  stopTimeoutMs: number;
}

/**
 * Settings that keep Node's memory small. Measured by `npm run bench -- ingest`: without them, 20 MB more after
 * 1,000 turns.
 *
 * A small semi-space makes V8 collect young objects sooner. With a limit of 128 MB (ten times what a long
 * interview needs) V8 collects the old generation after it has grown by a third, not fourfold. glibc uses one
 * heap instead of one per thread, and allocates blocks of 16 KB and more (read buffers, memory of V8's
 * compiler) directly from the system and returns them at once; on the heap such blocks leave holes, and the
 * heap grew by 10 to 25 MB.
 */
export const workerRuntime = {
  NODE_OPTIONS: '--max-semi-space-size=1 --max-old-space-size=128',
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '16384',
  MALLOC_TRIM_THRESHOLD_: '65536',
} as const;

/** The metadata that identifies our machines at Fly. Values are text. */
export const metadataOf = (intent: Intent, deploymentId: string): Record<string, string> => ({
  deployment_id: deploymentId,
  machine_id: intent.machine_id,
  tenant_id: intent.tenant_id,
  ...(intent.session_id === null ? {} : { session_id: intent.session_id }),
  ...(intent.hard_deadline_at === null ? {} : { deadline: intent.hard_deadline_at }),
});

/**
 * The body of a create request. The name is derived from the row, so that a second try finds the machine of the
 * first. When the worker exits, Fly destroys the machine and does not restart it.
 */
export const createBody = (intent: Intent, template: MachineTemplate): object => ({
  name: intent.name,
  region: intent.region,
  // A standby machine stays `created` or `stopped` with its image pulled. It has not run, so auto_destroy keeps it.
  ...(intent.session_id === null && !intent.hot ? { skip_launch: true } : {}),
  config: {
    image: intent.image,
    guest: template.guest,
    // A standby machine is configured before its session exists: its worker learns the trace from the claim's answer.
    env: { ...template.env, ...(intent.traceparent === null ? {} : { TRACEPARENT: intent.traceparent }) },
    metadata: metadataOf(intent, template.deploymentId),
    auto_destroy: true,
    restart: { policy: 'no' },
    stop_config: { signal: 'SIGTERM', timeout: `${Math.ceil(template.stopTimeoutMs / 1_000)}s` },
    services: [service],
  },
});

// Fly's proxy replays a request to the service with the public port on which the request arrived.
// There is no health check: the proxy would not route to a machine before its check has passed, which delays every
// start. A browser is sent only to a worker that has claimed its session and therefore listens (docs/adr/0016).
const service = {
  protocol: 'tcp',
  internal_port: 8080,
  autostart: false,
  autostop: 'off',
  ports: [{ port: 443, handlers: ['tls', 'http'] }],
  concurrency: { type: 'connections', soft_limit: 4, hard_limit: 16 },
};
