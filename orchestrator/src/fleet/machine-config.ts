import type { Intent } from '../database/rows.ts';

/** What is the same for every machine of this deployment. */
export interface MachineTemplate {
  deploymentId: string;
  guest: { readonly cpu_kind: string; readonly cpus: number; readonly memory_mb: number };
  /** Given to every worker. Never a secret: whoever can read the machine's config reads this. */
  env: Record<string, string>;
  /** SIGTERM to SIGKILL. */
  stopTimeoutMs: number;
}

/**
 * How Node lives in a machine: small. Measured by `npm run bench -- ingest`; without it 20 MB more after 1,000 turns.
 *
 * Young objects are collected sooner. An old generation that may not grow beyond 128 MB (ten times what a long interview
 * keeps) is collected when it has grown by a third, not fourfold. glibc keeps one heap instead of one per thread, and takes
 * what is 16 KB or larger (read buffers, what V8's compiler works with) from the system and gives it back at once: in the
 * heap such pieces leave holes, and it grew by 10 to 25 MB.
 */
export const workerRuntime = {
  NODE_OPTIONS: '--max-semi-space-size=1 --max-old-space-size=128',
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '16384',
  MALLOC_TRIM_THRESHOLD_: '65536',
} as const;

/** The metadata by which we know our machines at Fly. Values are text. */
export const metadataOf = (intent: Intent, deploymentId: string): Record<string, string> => ({
  deployment_id: deploymentId,
  machine_id: intent.machine_id,
  tenant_id: intent.tenant_id,
  ...(intent.session_id === null ? {} : { session_id: intent.session_id }),
  ...(intent.hard_deadline_at === null ? {} : { deadline: intent.hard_deadline_at }),
});

/**
 * The body of a create. The name is derived from the row, so that a second try meets the first one's machine; exit
 * destroys the machine, and nothing restarts it: a machine lives once.
 */
export const createBody = (intent: Intent, template: MachineTemplate): object => ({
  name: intent.name,
  region: intent.region,
  // A machine made ahead rests in `created` or `stopped`, its image pulled; it has not run, so auto_destroy leaves it.
  ...(intent.session_id === null ? { skip_launch: true } : {}),
  config: {
    image: intent.image,
    guest: template.guest,
    env: template.env,
    metadata: metadataOf(intent, template.deploymentId),
    auto_destroy: true,
    restart: { policy: 'no' },
    stop_config: { signal: 'SIGTERM', timeout: `${Math.ceil(template.stopTimeoutMs / 1_000)}s` },
    services: [service],
  },
});

// Fly's proxy replays to the service that has the public port the browser came in by.
// No check: the proxy routes to nobody whose check has not passed yet, which costs a grace period of every start, and a
// browser is only sent to a worker that has claimed its session, so it listens (docs/adr/0016).
const service = {
  protocol: 'tcp',
  internal_port: 8080,
  autostart: false,
  autostop: 'off',
  ports: [{ port: 443, handlers: ['tls', 'http'] }],
  concurrency: { type: 'connections', soft_limit: 4, hard_limit: 16 },
};
