import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { plainText, uuid } from '@greenroom/shared/protocol/common.ts';
import { regionCode } from '@greenroom/shared/protocol/platform-api.ts';
import type { Clock } from '@greenroom/shared/runtime/clock.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actBy } from '../../access/authenticate.ts';
import { forAdmins, forViewers, type OperatorAccess } from '../../access/operators.ts';
import type { RecordAudit } from '../../database/audit-store.ts';
import type { OperatorStore } from '../../database/operator-store.ts';
import type { PhasesStore } from '../../database/phases-store.ts';
import type { PoolStore } from '../../database/pool-store.ts';
import { explain } from '../why/explain.ts';
import { attentionOf } from './attention.ts';
import { type Forecast, type ForecastOptions, forecastOf } from './forecast.ts';
import { showSession } from './lists.ts';
import { hourlyUsd, type Rates } from './rates.ts';

/** Single documents of the operators' API. Unknown ids are answered with `not_found`. */
export interface DocumentsDeps {
  access: OperatorAccess;
  store: OperatorStore;
  phases: PhasesStore;
  pool: Pick<PoolStore, 'facts'>;
  audit: RecordAudit;
  clock: Pick<Clock, 'now'>;
  rates: Rates;
  forecast: ForecastOptions;
  /** What `GET /ops/api/me` says of this deployment. */
  deployment: { deployment_id: string; public_url: string; version: string };
}

const params = z.object({ id: uuid });
const transcriptLimit = 5_000;

export const gone = (what: string): AppError =>
  new AppError('not_found', { detail: `No ${what} with this id. It may have been erased.` });

const found = <T>(row: T | null, what: string): T => {
  if (row === null) throw gone(what);
  return row;
};

/** The overview: the database's figures, what they cost an hour, and what needs attention. */
export async function readOverview({ store, rates }: Pick<DocumentsDeps, 'store' | 'rates'>) {
  const figures = await store.overview();
  return { ...figures, cost_per_hour: hourlyUsd(figures.prepared, rates), attention: attentionOf(figures) };
}

/** Compares the schedule of the next minutes with the machines that the pools have and that Fly's create limit allows. */
async function readForecast({ store, pool, forecast }: DocumentsDeps, minutes: number): Promise<Forecast> {
  const [schedule, facts] = await Promise.all([store.schedule(minutes), pool.facts(minutes * 60_000)]);
  return forecastOf(schedule, facts, forecast);
}

export function documentRoutes(deps: DocumentsDeps): FastifyPluginAsyncZod {
  const { access, store, phases, audit, clock } = deps;
  return async (app) => {
    app.get('/me', { config: forViewers }, async (request) => {
      const { actor, role } = access.of(request);
      return { name: actor.slice(actor.indexOf(':') + 1), role, ...deps.deployment, now: new Date(clock.now()) };
    });
    app.get('/overview', { config: forViewers }, async () => readOverview(deps));
    app.get('/regions', { config: forViewers }, async () => ({ data: await store.regions() }));
    app.get('/brake', { config: forViewers }, async () => ({ data: await store.brake() }));
    const poolQuery = z.strictObject({ tenant: uuid.optional(), region: regionCode.optional() });
    app.get('/pools', { config: forViewers, schema: { querystring: poolQuery } }, async ({ query }) => ({
      data: await store.pools(query),
    }));
    const costQuery = z.strictObject({ days: z.coerce.number().int().min(1).max(92).default(30) });
    app.get('/costs', { config: forViewers, schema: { querystring: costQuery } }, async ({ query }) =>
      store.costs(query.days),
    );
    const minutes = z.strictObject({ minutes: z.coerce.number().int().min(1).max(240).default(60) });
    app.get('/forecast', { config: forViewers, schema: { querystring: minutes } }, async ({ query }) =>
      readForecast(deps, query.minutes),
    );
    const findQuery = z.strictObject({ q: plainText(200).trim().min(1) });
    app.get('/find', { config: forViewers, schema: { querystring: findQuery } }, async ({ query }) => ({
      data: await store.find(query.q),
    }));

    app.get('/sessions/:id', { config: forViewers, schema: { params } }, async (request) => {
      const row = found(await store.session(request.params.id), 'session');
      const why = row.phases === null ? null : explain(row.phases, clock.now());
      return { ...showSession(row, clock.now()), why, phases: row.phases };
    });
    app.get('/sessions/:id/why', { config: forViewers, schema: { params } }, async (request) => {
      const { id } = request.params;
      const row = found(await phases.ofSession(id), 'session');
      return { session_id: id, status: row.status, ...explain(row, clock.now()), phases: row };
    });
    app.get('/sessions/:id/transcript', { config: forAdmins, schema: { params } }, async (request) => {
      const { id } = request.params;
      const row = found(await store.session(id), 'session');
      const entry = {
        tenant_id: String(row.tenant_id),
        action: 'transcript.read',
        target: id,
        outcome: 'done' as const,
      };
      await audit({ ...actBy(request, access.of(request).actor), ...entry });
      return { data: await store.transcript(id, transcriptLimit) };
    });
    app.get('/machines/:id', { config: forViewers, schema: { params } }, async (request) =>
      found(await store.machine(request.params.id), 'machine'),
    );
    app.get('/tenants/:id', { config: forViewers, schema: { params } }, async (request) =>
      found(await store.tenant(request.params.id), 'tenant'),
    );
    app.get('/deliveries/:id', { config: forViewers, schema: { params } }, async (request) =>
      found(await store.delivery(request.params.id), 'delivery'),
    );
  };
}
