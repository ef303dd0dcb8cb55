import { idOf, machineOf, type Owner, owners, sessionOf, type Target, targetsOf, worldEpoch } from './support/world.ts';

/**
 * The rights of each actor on the rows of each table. `access.test.ts` runs this table in SQL and through
 * supabase-js, and fails when a table is missing here.
 *
 *   r read · c create · u update · d delete      a small letter: rows of one's own; a capital: rows of every tenant
 *
 * "Own" is the tenant of a user, and the session of a worker. Everything else is refused: the row is invisible or the
 * operation is forbidden, and nothing changes. `columnCases` restricts the columns further.
 */
export const accessTable = `
table                  anon  outsider  viewer  member  admin  orchestrator  worker  fenced  service
tenants                -     -         r       r       r      R             -       -       -
consent_texts          -     -         r       r       r      R             -       -       -
tenant_counters        -     -         -       -       -      R             -       -       -
tenant_users           -     -         r       r       rcud   R             -       -       -
tenant_apps            -     -         -       -       -      R             -       -       -
api_keys               -     -         -       -       -      R             -       -       -
candidates             -     -         -       -       -      R             -       -       -
tenant_candidates      -     -         r       rcu     rcu    R             -       -       -
positions              -     -         r       rcu     rcu    R             -       -       -
interview_sessions     -     -         r       r       r      R             r       -       -
interview_transcripts  -     -         r       r       r      R             -       -       -
machines               -     -         -       -       -      R             -       -       -
realtime_calls         -     -         -       -       -      R             -       -       -
session_events         -     -         r       r       r      R             -       -       -
idempotency_keys       -     -         -       -       -      R             -       -       -
session_invitations    -     -         -       -       -      R             -       -       -
transcript_entries     -     -         r       r       r      R             r       -       -
transcript_writes      -     -         -       -       -      R             -       -       -
interview_results      -     -         r       r       r      R             -       -       -
video_segments         -     -         r       r       r      R             -       -       -
video_deletions        -     -         -       -       -      R             -       -       -
video_jobs             -     -         -       -       -      R             -       -       -
video_events           -     -         -       -       -      R             -       -       -
machine_usage          -     -         r       r       r      R             -       -       -
orchestrators          -     -         -       -       -      R             -       -       -
duties                 -     -         -       -       -      R             -       -       -
session_phases         -     -         -       -       -      R             -       -       -
simulations            -     -         -       -       -      R             -       -       -
audit_log              -     -         -       -       r      R             -       -       -
api_requests           -     -         -       -       -      R             -       -       -
consents               -     -         r       r       r      R             -       -       -
provider_credentials   -     -         -       -       -      R             -       -       -
webhook_endpoints      -     -         -       -       -      R             -       -       -
webhook_deliveries     -     -         -       -       -      R             -       -       -
pool_policies          -     -         r       r       r      R             -       -       -
rate_limits            -     -         -       -       -      R             -       -       -
region_drains          -     -         -       -       -      R             -       -       -
brake_holds            -     -         -       -       -      R             -       -       -
`;

/** Columns that are closed in an open row, and columns that may be written. */
export const columnCases: Array<
  [actor: Actor, verb: 'read' | 'update' | 'create', table: string, column: string, allowed: boolean]
> = [
  ['viewer', 'read', 'tenant_candidates', 'erasure_requested_at', true],
  ['viewer', 'read', 'tenant_candidates', 'erasure_requested_by', false],
  ['admin', 'read', 'tenant_candidates', 'erasure_requested_by', false],
  ['worker', 'read', 'interview_sessions', 'epoch', true],
  ['worker', 'read', 'interview_sessions', 'settings', false],
  ['worker', 'read', 'interview_sessions', 'candidate_id', false],
  ['orchestrator', 'read', 'provider_credentials', 'key_id', true],
  ['orchestrator', 'read', 'provider_credentials', 'ciphertext', false],
  ['orchestrator', 'read', 'webhook_endpoints', 'url', true],
  ['orchestrator', 'read', 'webhook_endpoints', 'secret_ciphertext', false],
  ['orchestrator', 'read', 'video_jobs', 'state', true],
  ['orchestrator', 'read', 'video_jobs', 'token_ciphertext', false],
  ['member', 'update', 'positions', 'description', true],
  ['member', 'update', 'positions', 'tenant_id', false],
  ['member', 'update', 'positions', 'created_at', false],
  ['member', 'create', 'positions', 'id', false],
  ['member', 'update', 'tenant_candidates', 'email', true],
  ['member', 'update', 'tenant_candidates', 'candidate_id', false],
  ['member', 'update', 'tenant_candidates', 'tenant_id', false],
  ['member', 'update', 'tenant_candidates', 'erased_at', false],
  ['member', 'create', 'tenant_candidates', 'candidate_id', false],
  ['admin', 'update', 'tenant_users', 'user_id', false],
  ['admin', 'update', 'tenant_users', 'tenant_id', false],
];

/** Callers of the functions of schema public. Only orchestrators may call every other function. */
export const functionCases = {
  // Called by other functions only.
  record_consent: [],
  session_may_start: [],
  transcript_of: ['authenticated', 'orchestrator'],
  own_transcript: ['session_worker'],
  worker_report: ['session_worker'],
  append_transcript: ['session_worker'],
  flag_integrity: ['session_worker'],
  note_recording_started: ['session_worker'],
  // The Edge Function interview-transcript, which has checked the browser's token.
  upload_transcript: ['service_role'],
} as const;

export const actors = [
  'anon',
  'outsider',
  'viewer',
  'member',
  'admin',
  'orchestrator',
  'worker',
  'fenced',
  'service',
] as const;
export type Actor = (typeof actors)[number];
export const verbs = ['read', 'create', 'update', 'delete'] as const;
export type Verb = (typeof verbs)[number];

const user = (name: string) => ({ role: 'authenticated', sub: idOf(name) });
const worker = (epoch: number) => ({
  role: 'session_worker',
  session_id: sessionOf('own'),
  tenant_id: idOf('tenant-a'),
  machine_id: machineOf('own'),
  epoch,
});

/** The claims of each actor's token. Users belong to tenant A. A fenced worker has the previous epoch. */
export const claims: Record<Actor, { role: string; [claim: string]: unknown }> = {
  anon: { role: 'anon' },
  outsider: user('outsider'),
  viewer: user('viewer of tenant-a'),
  member: user('member of tenant-a'),
  admin: user('admin of tenant-a'),
  orchestrator: { role: 'orchestrator' },
  worker: worker(worldEpoch),
  fenced: worker(worldEpoch - 1),
  service: { role: 'service_role' },
};

export interface Case {
  name: string;
  actor: Actor;
  table: string;
  verb: Verb;
  owner: Owner;
  target: Target;
  allowed: boolean;
}

const letters: Record<Verb, string> = { read: 'r', create: 'c', update: 'u', delete: 'd' };

function parse(): Array<{ table: string; actor: Actor; rights: string }> {
  const [head, ...lines] = accessTable
    .trim()
    .split('\n')
    .map((line) => line.split(/\s+/));
  return lines.flatMap(([table, ...cells]) =>
    cells.map((rights, i) => ({ table: table!, actor: head![i + 1] as Actor, rights })),
  );
}

/** A user's own rows are all rows of its tenant; a worker's own rows are those of one session. */
const owns = (actor: Actor, owner: Owner): boolean =>
  owner === 'own' || (owner === 'sibling' && actor !== 'worker' && actor !== 'fenced');

/** Every actor × table × verb × owner. */
export function allCases(): Case[] {
  return parse().flatMap(({ table, actor, rights }) =>
    owners.flatMap((owner) => {
      const target = targetsOf(owner)[table];
      if (!target) return [];
      return verbs.map((verb) => {
        const letter = letters[verb];
        const allowed = rights.includes(letter.toUpperCase()) || (rights.includes(letter) && owns(actor, owner));
        const name = `${actor} ${allowed ? 'may' : 'may not'} ${verb} ${owner} row of ${table}`;
        return { name, actor, table, verb, owner, target, allowed };
      });
    }),
  );
}

export const coveredTables = [...new Set(parse().map(({ table }) => table))];
