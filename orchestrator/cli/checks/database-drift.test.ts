import { expect, test } from 'vitest';
import { definedBy } from './database-drift.ts';

// Failure pinned: a function without a quoted body got the body of the next one, and counted as changed by hand.
test('finds the body of each function, and skips a function without a quoted body', () => {
  const sql = `
    create function app.longest() returns integer language sql return 5;
    create or replace function app.touch() returns trigger language plpgsql as $$ begin return new; end $$;
    create table app.rows (id integer);`;
  expect([...definedBy(sql).functions]).toEqual([['app.touch', new Set(['begin return new; end'])]]);
  expect(definedBy(sql).tables).toEqual(['app.rows']);
});
