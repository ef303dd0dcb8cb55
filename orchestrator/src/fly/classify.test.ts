import { describe, expect, test } from 'vitest';
import { classifyCreate, classifyGet, classifyRefusal, type Raw } from './classify.ts';

const answer = (status: number, body: unknown, retryAfterMs?: number): Raw => ({
  status,
  body,
  requestId: 'r',
  retryAfterMs,
});
const error = (status: number, text: string, code = 'unknown'): Raw => answer(status, { error: text, status: code });

/** Fly's answers to a create, verbatim where known, and how they must be classified. */
const creates: Array<[string, Raw, string]> = [
  ['a created machine', answer(200, { id: 'd1', state: 'created', region: 'fra' }), 'created'],
  ['a machine that already runs', answer(200, { id: 'd1', state: 'started', region: 'fra' }), 'started'],
  ['a success without a machine', answer(200, {}), 'ambiguous'],
  ['a success that is not JSON', answer(200, '<html>'), 'ambiguous'],
  ['no host in the region', error(422, 'could not find a candidate host', 'insufficient_capacity'), 'noCapacity'],
  ['no capacity, aborted', error(409, 'aborted: no capacity'), 'noCapacity'],
  [
    'a host that became full during the request',
    error(
      409,
      'aborted: insufficient resources available to fulfill request: insufficient memory available to fulfill request',
    ),
    'hostBusy',
  ],
  [
    'a full host',
    error(
      409,
      'aborted: could not reserve resource for machine: insufficient CPUs available to fulfill request on the current host',
    ),
    'hostBusy',
  ],
  ['a host without addresses', error(409, 'aborted: insufficient IPs available to fulfill request'), 'hostBusy'],
  [
    'no capacity on the host of a volume',
    error(
      412,
      "insufficient resources to create new machine with existing volume id 'vol_1'",
      'volume_placement_capacity',
    ),
    'noCapacity',
  ],
  [
    "the organisation's quota",
    error(
      403,
      'organization "Kilo" is using 1970176 MB of memory in dfw which is over the allowed quota. please consider other regions',
    ),
    'quota',
  ],
  ['no capacity for a volume', error(400, 'no capacity'), 'noCapacity'],
  [
    'a name that is taken',
    error(
      409,
      'already_exists: unique machine name violation, machine ID 91857ed9b63d83 already exists with name "gr-1"',
    ),
    'nameTaken',
  ],
  ['a concurrent update', error(409, 'aborted: machine update failed due to concurrent update'), 'precondition'],
  [
    'a lease that another client holds',
    error(409, 'machine ID d1 lease currently held by 1@tokens.fly.io, expires at 2026-01-01T00:00:00Z'),
    'precondition',
  ],
  [
    'a state that does not permit the request',
    error(412, "failed_precondition: unable to start machine from current state: 'created'"),
    'precondition',
  ],
  ['an image that was just pushed', error(400, 'MANIFEST_UNKNOWN: manifest unknown'), 'precondition'],
  ['a host in maintenance', error(503, 'unavailable: deploys to this host are temporarily disabled'), 'hostBusy'],
  ['an unknown app', error(404, 'Could not find App'), 'notFound'],
  ["a gateway's own 404", answer(404, '<html><body>404 page not found</body></html>'), 'ambiguous'],
  ["a gateway's own 403", answer(403, '<html>Access denied</html>'), 'ambiguous'],
  ["a gateway's own 400", answer(400, 'Bad Request'), 'ambiguous'],
  ['a bad token', error(401, 'Authenticate: token validation error'), 'unauthorized'],
  ['an app of another organisation', error(403, 'forbidden'), 'unauthorized'],
  ['too many requests', answer(429, { error: 'rate limit exceeded' }, 2_000), 'rateLimited'],
  ['a timeout of Fly', error(408, 'request timed out'), 'ambiguous'],
  ['an error of Fly', answer(500, 'oops'), 'ambiguous'],
  ['a bad gateway', answer(502, ''), 'ambiguous'],
  ['no answer at all', { status: 0, error: new Error('socket hang up') }, 'ambiguous'],
  ['a request Fly does not understand', error(400, 'invalid_argument: guest.memory_mb'), 'fatal'],
  ['a request Fly cannot process', error(422, 'Validation failed'), 'fatal'],
];

describe('an answer to a create', () => {
  test.each(creates)('the answer to a create is classified: %s', (_what, raw, kind) => {
    expect(classifyCreate(raw).kind).toBe(kind);
  });

  test('the answer about a taken name contains the id of the machine that has it', () => {
    const raw = error(
      409,
      'already_exists: unique machine name violation, machine ID 91857ed9b63d83 already exists with name "gr-1"',
    );
    expect(classifyCreate(raw)).toMatchObject({ kind: 'nameTaken', machineId: '91857ed9b63d83' });
  });

  test('the answer about a rate limit contains the Retry-After, if Fly sends one', () => {
    expect(classifyRefusal(answer(429, {}, 2_000))).toEqual({ kind: 'rateLimited', retryAfterMs: 2_000 });
    expect(classifyRefusal(answer(429, {}))).toEqual({ kind: 'rateLimited', retryAfterMs: undefined });
  });
});

describe('an answer to a GET', () => {
  const cases: Array<[string, Raw, object]> = [
    ['a running machine exists', answer(200, { id: 'd1', state: 'started' }), { kind: 'there' }],
    [
      'a destroyed machine is gone',
      answer(200, { id: 'd1', state: 'destroyed' }),
      { kind: 'gone', evidence: 'destroyed' },
    ],
    [
      'a machine that is being destroyed still exists',
      answer(200, { id: 'd1', state: 'destroying' }),
      { kind: 'there' },
    ],
    ['an unknown machine is gone', error(404, 'machine not found'), { kind: 'gone', evidence: '404' }],
    ["a gateway's 404 page is unclear", answer(404, '<html>404 page not found</html>'), { kind: 'unclear' }],
    ['a 404 without a body is unclear', answer(404, ''), { kind: 'unclear' }],
    ["another API's 404 is unclear", answer(404, { message: 'no Route matched' }), { kind: 'unclear' }],
    ['a 500 from Fly is unclear', answer(500, ''), { kind: 'unclear' }],
    ['no answer is unclear', { status: 0, error: undefined }, { kind: 'unclear' }],
    ['a page of HTML is unclear', answer(200, '<html>'), { kind: 'unclear' }],
  ];
  test.each(cases)('%s', (_what, raw, expected) => {
    expect(classifyGet(raw)).toMatchObject(expected);
  });

  test('the metadata of a machine on an unreachable host is read from its incomplete_config', () => {
    const body = {
      id: 'd1',
      state: 'started',
      host_status: 'unreachable',
      incomplete_config: { metadata: { machine_id: 'm' } },
    };
    expect(classifyGet(answer(200, body))).toMatchObject({
      machine: { hostStatus: 'unreachable', metadata: { machine_id: 'm' } },
    });
  });
});
