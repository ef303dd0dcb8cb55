import { AppError } from '@greenroom/shared/errors/app-error.ts';
import { plainText } from '@greenroom/shared/protocol/common.ts';
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actBy } from '../../access/authenticate.ts';
import { forAdmins, forOperators, type OperatorAccess } from '../../access/operators.ts';
import type { ActWhy } from '../../database/operator-store.ts';

/**
 * One act of an operator. Every act has a dry run, which changes nothing and says what would happen. Every act needs a
 * reason. The audit log stores the reason, and the state before and after the act.
 */
export interface Plan {
  /** What happens, in sentences. */
  effect: string[];
  affected: { sessions: number; candidates_live: number; machines: number };
  /** How to take it back, in words. Null: it cannot be taken back. */
  undo: string | null;
  /** By how much the cost of a day changes, US dollars. */
  usd_per_day?: number;
}

export interface Act<Params, Body> {
  method: 'POST' | 'PUT';
  /** Below `/ops/api`. */
  path: string;
  role: 'operator' | 'admin';
  params: z.ZodType<Params>;
  /** Without `why`. */
  body: z.ZodType<Body>;
  /** Throws AppError not_found, and conflict if there is nothing left to change. */
  plan(params: Params, body: Body): Promise<Plan>;
  /** Carries the act out. Throws like `plan`, because another operator may have acted in the meantime. */
  run(params: Params, body: Body, by: ActWhy): Promise<void>;
}

export const nobody: Plan['affected'] = { sessions: 0, candidates_live: 0, machines: 0 };

/** The error when there is nothing left to change, such as ending an ended session. The command exits with 5. */
export const alreadySo = (detail: string): AppError =>
  new AppError('conflict', { detail, extensions: { already: true } });

const timeOfDay = (at: string): string => `${new Date(at).toISOString().slice(11, 19)} UTC`;

/** ` at 12:01:05 UTC by kim`, without the parts that are unknown. */
export const whenAndWho = ({ at, by }: { at?: string | null | undefined; by?: string | null | undefined }): string =>
  `${at ? ` at ${timeOfDay(at)}` : ''}${by ? ` by ${by.replace(/^operator:/, '')}` : ''}`;

const why = plainText(200).trim().min(3, 'say why, in 3 to 200 characters');
const actQuery = z.strictObject({ dry_run: z.enum(['true', 'false']).default('false') });

/** Adds the route of an act. */
export function addAct<Params, Body>(app: FastifyInstance, access: OperatorAccess, act: Act<Params, Body>): void {
  const body = z.preprocess(
    (given) => given,
    z.looseObject({ why }).transform(({ why: reason, ...rest }, context) => {
      const read = act.body.safeParse(rest);
      for (const issue of read.error?.issues ?? []) context.issues.push(issue as never);
      return { reason, rest: read.data as Body };
    }),
  );
  app.withTypeProvider<ZodTypeProvider>().route({
    method: act.method,
    url: act.path,
    config: act.role === 'admin' ? forAdmins : forOperators,
    schema: { params: act.params as z.ZodType, querystring: actQuery, body },
    handler: async (request) => {
      const params = request.params as Params;
      const { reason, rest } = request.body;
      const dryRun = request.query.dry_run === 'true';
      const plan = await act.plan(params, rest);
      if (!dryRun) await act.run(params, rest, { ...actBy(request, access.of(request).actor), why: reason });
      return { dry_run: dryRun, done: !dryRun, ...plan };
    },
  });
}
