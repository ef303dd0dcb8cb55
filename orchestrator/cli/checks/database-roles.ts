import { type Answer, type Check, fail, ok, type Result, saysOf } from './check.ts';
import { askDatabase, orchestratorToken, workerToken } from './database.ts';

function judge(role: string, answer: Answer): Result {
  if (answer.status === 200) return ok(`A real call as role ${role} was answered.`);
  const code = (answer.body as { code?: string } | undefined)?.code ?? '';
  const message = (answer.body as { message?: string } | undefined)?.message ?? '';
  if (answer.status === 401 && /API key/i.test(message))
    return fail(
      'Supabase refuses the API key.',
      'Set SUPABASE_PUBLISHABLE_KEY (Supabase: Project Settings, API Keys).',
    );
  if (answer.status === 401)
    return fail(`Supabase refuses the token of role ${role}.`, 'Correct the check signing-key first.');
  if (answer.status === 404 || code === '42883' || code === '42P01')
    return fail('The function is not there: the database is not migrated.', 'greenroom migrate');
  if (code === '22023' || code === '42501' || code === '42704')
    return fail(`The role ${role} does not exist or lacks a right (${code}).`, 'greenroom migrate');
  return fail(
    `Supabase ${saysOf(answer)}${code === '' ? '' : ` (${code})`}.`,
    'Wait for Supabase, or restore a paused project.',
  );
}

export const databaseOrchestrator: Check = {
  id: 'database-orchestrator',
  means: 'Nothing works: no interview can be created, started or ended.',
  run: async (context) =>
    judge(
      'orchestrator',
      await askDatabase(context, await orchestratorToken(context), 'rpc/session_routes', { p_session_ids: [] }),
    ),
};

export const databaseWorker: Check = {
  id: 'database-worker',
  means: 'Interviews run, but their transcripts are not stored.',
  run: async (context) =>
    judge(
      'session_worker',
      await askDatabase(context, await workerToken(context), 'transcript_entries?select=id&limit=1'),
    ),
};
