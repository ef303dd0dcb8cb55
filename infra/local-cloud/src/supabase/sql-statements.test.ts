import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { splitStatements } from './sql-statements.ts';
import { fixtureMigrations } from './test-project.ts';

const texts = (script: string) => splitStatements(script).map(({ text }) => text);

test('semicolons end statements, but not in strings, names, comments or bodies', () => {
  expect(texts('select 1; select 2')).toEqual(['select 1', 'select 2']);
  expect(texts(`select ';', "a;b", 'it''s;'; select E'\\';'`)).toEqual([
    `select ';', "a;b", 'it''s;'`,
    `select E'\\';'`,
  ]);
  expect(texts('select 1 -- no; end\n, 2; /* a; /* b; */ c; */ select 3')).toEqual([
    'select 1 -- no; end\n, 2',
    'select 3',
  ]);
  expect(texts('do $$ a; $b$ c; $b$ $$; do $x$ a; $$ b; $x$;')).toEqual([
    'do $$ a; $b$ c; $b$ $$',
    'do $x$ a; $$ b; $x$',
  ]);
  expect(texts('select $1; select 2')).toEqual(['select $1', 'select 2']);
});

test('a begin atomic body is one statement, with its cases; a plain begin is not a body', () => {
  const body = 'create function f() returns int begin atomic select 1; select case when true then 2 end; end';
  expect(texts(`${body}; begin; select 1; end;`)).toEqual([body, 'begin', 'select 1', 'end']);
});

test('a statement is found on the line where it begins, after the comments before it', () => {
  expect(splitStatements('-- one;\n\n/* two\n */ select 1;\n\n  select 2;\n-- end')).toEqual([
    { text: 'select 1', line: 4 },
    { text: 'select 2', line: 6 },
  ]);
});

test('nothing but comments and semicolons is nothing', () => {
  expect(splitStatements(' ;; -- x\n /* y */ ; ')).toEqual([]);
});

test('together the statements of a real script are the script', () => {
  const script = readFileSync(path.join(fixtureMigrations, '20260101000000_lists.sql'), 'utf8');
  const statements = splitStatements(script);
  expect(statements).toHaveLength(27);
  for (const { text, line } of statements) {
    expect(
      script
        .split('\n')
        .slice(line - 1)
        .join('\n')
        .startsWith(text),
    ).toBe(true);
  }
});
