import { describe, expect, test } from 'vitest';
import { callingCode, declaredSql, uncalledFunctions } from './called-functions.ts';

const sql = declaredSql();
const code = callingCode();

describe('functions of the database', () => {
  test('every function is called, and servers may execute only what their code calls', () => {
    expect(uncalledFunctions(sql, code)).toEqual([]);
  });

  test('a granted function that no code calls is found', () => {
    const extra = `
create function public.forgotten(p_id uuid) returns boolean language sql as $$ select true $$;
comment on function public.forgotten(uuid) is 'Replaces public.get_session.';
grant execute on function public.forgotten(uuid) to orchestrator;
`;
    expect(uncalledFunctions(sql + extra, code)).toEqual(['public.forgotten is called by nobody: remove it']);
    expect(uncalledFunctions(sql + extra, `${code} callFunction(database, 'forgotten', {})`)).toEqual([]);
  });

  test('a function that only SQL calls is found when a server may execute it', () => {
    const grant = '\ngrant execute on function public.record_consent(uuid, text, text) to orchestrator;\n';
    expect(uncalledFunctions(sql + grant, code)).toEqual([
      'public.record_consent is called by SQL only: revoke it from the servers',
    ]);
  });

  test('a function of schema app that nothing names is found', () => {
    const extra =
      '\ncreate function app.forgotten() returns trigger language plpgsql as $$ begin return new; end $$;\n';
    expect(uncalledFunctions(sql + extra, code)).toEqual(['app.forgotten is called by nobody: remove it']);
    expect(
      uncalledFunctions(`${sql}${extra}create trigger t before insert on x execute function app.forgotten();`, code),
    ).toEqual([]);
  });
});
