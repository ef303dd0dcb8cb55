import { plainText, sessionReason, timestamp, uuid } from '@greenroom/shared/protocol/common.ts';
import {
  auditOutcomes,
  machineKinds,
  startPaths,
  tenantStatuses,
  workKinds,
  workStates,
} from '@greenroom/shared/protocol/operators.ts';
import { regionCode } from '@greenroom/shared/protocol/platform-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import { machineStates, sessionStatuses } from '@greenroom/shared/session/states.ts';
import type { FastifyPluginAsync } from 'fastify';
import { z } from 'zod';
import type { OperatorStore, OpsMachineRow, OpsSessionRow } from '../../database/operator-store.ts';
import { several } from '../../http/queries.ts';
import { explain } from '../why/explain.ts';
import { addList, type List } from './list.ts';

/** The lists of the operators' API. Their pages are read by key. Each filter is one that the database can apply. */
export interface ListsDeps {
  store: OperatorStore;
  clock: Pick<Clock, 'now' | 'monotonicMs'>;
}

const yes = z
  .enum(['true', 'false'])
  .transform((value) => value === 'true')
  .optional();
const word = plainText(200).min(1).optional();
const byTime = z.object({ at: timestamp, id: uuid });
const byId = z.object({ id: z.number().int() });
const bySlug = z.object({ slug: plainText(40) });

const placeIn = <Place>(place: z.ZodType<Place>, searchedTo: object | null): Place | undefined =>
  searchedTo === null ? undefined : place.parse(searchedTo);
const pageIn = <Row, Place>(place: z.ZodType<Place>, page: { rows: Row[]; searched_to: object | null }) => ({
  rows: page.rows,
  searchedTo: placeIn(place, page.searched_to),
});

/** A session with the verdict about its start. */
export function showSession({ phases, ...row }: OpsSessionRow, nowMs: number): object {
  if (phases === null) return { ...row, verdict: null, over_ms: null, sentence: null };
  const { verdict, over_ms, sentence } = explain(phases, nowMs);
  return { ...row, verdict, over_ms, sentence };
}

const sessionFilters = z.strictObject({
  sort: z.enum(['created', 'start']).default('created'),
  live: yes,
  status: several(z.enum(sessionStatuses)).optional(),
  reason: several(sessionReason).optional(),
  tenant: uuid.optional(),
  region: regionCode.optional(),
  path: z.enum(startPaths).optional(),
  attempts: z.coerce.number().int().min(1).max(100).optional(),
  slow_ms: z.coerce.number().int().min(0).max(86_400_000).optional(),
  from: timestamp.optional(),
  until: timestamp.optional(),
});
const sessionPlace = z.union([byTime, z.object({ start_ms: z.number().int(), id: uuid })]);

const sessionsOf = ({
  store,
  clock,
}: ListsDeps): List<
  z.output<typeof sessionFilters>,
  z.output<typeof sessionPlace>,
  OpsSessionRow & { sort: string }
> => ({
  ...{ name: 'sessions', filters: sessionFilters, place: sessionPlace },
  placeOf: ({ sort, start_ms, created_at, session_id: id }) =>
    sort === 'start' && start_ms !== null ? { start_ms, id } : { at: created_at, id },
  read: async ({ sort, ...filter }, after, limit) => {
    const { rows, searched_to } = await store.sessions(filter, sort, after, limit);
    return { rows: rows.map((row) => ({ ...row, sort })), searchedTo: placeIn(sessionPlace, searched_to) };
  },
  show: ({ sort: _sort, ...row }) => showSession(row as OpsSessionRow, clock.now()),
});

const machineFilters = z.strictObject({
  ...{ alive: yes, unwanted: yes, lapsed: yes },
  state: several(z.enum(machineStates)).optional(),
  kind: z.enum(machineKinds).optional(),
  ...{ tenant: uuid.optional(), region: regionCode.optional(), app: word },
});

const machinesOf = ({
  store,
}: ListsDeps): List<z.output<typeof machineFilters>, z.output<typeof byTime>, OpsMachineRow> => ({
  ...{ name: 'machines', filters: machineFilters, place: byTime },
  placeOf: ({ reserved_at: at, machine_id: id }) => ({ at, id }),
  read: async (filter, after, limit) => pageIn(byTime, await store.machines(filter, after, limit)),
  show: (row) => row,
});

const eventFilters = z.strictObject({
  tenant: uuid.optional(),
  session: uuid.optional(),
  type: several(plainText(60)).optional(),
});
const auditFilters = z.strictObject({
  ...{ tenant: uuid.optional(), actor: word, action: word, target: word, request: word },
  outcome: z.enum(auditOutcomes).optional(),
});

/** A list of a log, newest first. */
const logOf = <Filter extends object>(
  name: string,
  filters: z.ZodType<Filter>,
  read: (
    filter: Filter,
    before: number | undefined,
    limit: number,
  ) => Promise<{ rows: Array<{ id: number }>; searched_to: number | null }>,
): List<Filter, { id: number }, { id: number }> => ({
  ...{ name, filters, place: byId },
  placeOf: ({ id }) => ({ id }),
  read: async (filter, after, limit) => {
    const { rows, searched_to } = await read(filter, after?.id, limit);
    return { rows, searchedTo: searched_to === null ? undefined : { id: searched_to } };
  },
  show: (row) => row,
});

const tenantFilters = z.strictObject({ status: z.enum(tenantStatuses).optional() });
const workFilters = z.strictObject({
  kind: z.enum(workKinds).optional(),
  state: several(z.enum(workStates)).optional(),
  tenant: uuid.optional(),
});
const workPlace = z.object({ at: timestamp, key: plainText(300) });
const deliveryFilters = z
  .strictObject({
    ...{ tenant: uuid.optional(), webhook: uuid.optional(), session: uuid.optional() },
    status: z.enum(['pending', 'delivered', 'dead']).optional(),
  })
  .refine(({ tenant, webhook, session }) => tenant ?? webhook ?? session, {
    path: ['tenant'],
    message: 'name a tenant, a webhook or a session',
  });

export const listRoutes =
  (deps: ListsDeps): FastifyPluginAsync =>
  async (app) => {
    const { store, clock } = deps;
    const add = <Filter extends object, Place, Row extends object>(list: List<Filter, Place, Row>) =>
      addList(app, list, clock);
    add(sessionsOf(deps));
    add(machinesOf(deps));
    add(logOf('events', eventFilters, store.events));
    add(logOf('audit', auditFilters, store.audit));
    add({
      ...{ name: 'tenants', filters: tenantFilters, place: bySlug },
      placeOf: ({ slug }: { slug: string }) => ({ slug }),
      read: async (filter, after, limit) => ({ rows: await store.tenants(filter, after?.slug, limit) }),
      show: (row) => row,
    });
    add({
      ...{ name: 'work', filters: workFilters, place: workPlace },
      placeOf: ({ due_at: at, key }: { due_at: string; key: string }) => ({ at, key }),
      read: async (filter, after, limit) => ({ rows: await store.work(filter, after, limit) }),
      show: (row) => row,
    });
    add({
      ...{ name: 'deliveries', filters: deliveryFilters, place: byTime },
      placeOf: ({ created_at: at, id }: { created_at: string; id: string }) => ({ at, id }),
      read: async (filter, after, limit) => pageIn(byTime, await store.deliveries(filter, after, limit)),
      show: (row) => row,
    });
  };
