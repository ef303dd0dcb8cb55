import { expect, test } from 'vitest';
import { useProject } from './support/project.ts';

/** PostgREST silently cuts rows at its row limit, so the product reads through functions that return one value. */
const project = useProject();

test('no function that the product calls returns rows, except the one that SQL uses to read a conversation', async () => {
  const { rows } = await project().owner.query(`
    select distinct p.proname from pg_proc p cross join pg_roles r
    where p.pronamespace = 'public'::regnamespace and p.proretset and has_function_privilege(r.oid, p.oid, 'execute')
      and r.rolname in ('orchestrator', 'session_worker', 'service_role') order by 1`);
  // Its name is not in FunctionName of shared/src/database/client.ts, so no code of the product can call it.
  expect(rows.map(({ proname }) => proname)).toEqual(['transcript_of']);
});
