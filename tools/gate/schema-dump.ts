import type pg from 'pg';

/**
 * The schema as the catalog has it, as one readable SQL text in a fixed order: what all migrations together come to.
 *
 * It is derived and committed, so that a review sees the effect of a migration, and is compared, never applied. Nothing in
 * it depends on the order of creation, on object ids or on the machine.
 */
const ofOurs = "n.nspname in ('app', 'public')";
const name = (schema: string, relation: string): string => `quote_ident(${schema}) || '.' || quote_ident(${relation})`;
const commentOn = (kind: string, title: string, comment: string): string =>
  `'comment on ${kind} ' || ${title} || ' is ' || quote_literal(${comment}) || ';'`;

/** Rights in an ACL, except the owner's own; null stands for the default of the kind. */
const grants = (acl: string, owner: string, object: string): string => `
  select 'grant ' || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type) || ' on ' || ${object} || ' to '
    || coalesce(quote_ident(r.rolname), 'public') || ';' as line
  from aclexplode(${acl}) a left join pg_roles r on r.oid = a.grantee where a.grantee <> ${owner} group by r.rolname order by line`;

const schemas = `
  select 'schema ' || n.nspname as title, array_to_string(array[
      'create schema ' || quote_ident(n.nspname) || ';',
      ${commentOn('schema', 'quote_ident(n.nspname)', "obj_description(n.oid, 'pg_namespace')")},
      (select string_agg(line, E'\\n') from (${grants('n.nspacl', 'n.nspowner', "'schema ' || quote_ident(n.nspname)")}) g)], E'\\n') as text
  from pg_namespace n where ${ofOurs} order by n.nspname`;

const columns = `
  select string_agg('  ' || quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
    || case when a.attgenerated = 's' then ' generated always as (' || pg_get_expr(d.adbin, d.adrelid) || ') stored'
      when a.attidentity = 'a' then ' generated always as identity' when d.adbin is not null then ' default ' || pg_get_expr(d.adbin, d.adrelid) else '' end
    || case when a.attnotnull then ' not null' else '' end, E',\\n' order by a.attname)
  from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped`;
const constraints = `
  select string_agg('  constraint ' || quote_ident(k.conname) || ' ' || pg_get_constraintdef(k.oid), E',\\n' order by k.contype, k.conname)
  from pg_constraint k where k.conrelid = c.oid and k.contype <> 'n'`;
const indexes = `
  select string_agg(pg_get_indexdef(i.indexrelid) || ';', E'\\n' order by i.indexrelid::regclass::text)
  from pg_index i where i.indrelid = c.oid and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.conrelid = c.oid)`;
const triggers = `
  select string_agg(pg_get_triggerdef(t.oid) || ';', E'\\n' order by t.tgname) from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal`;
const policies = `
  select string_agg('create policy ' || quote_ident(p.policyname) || ' on ' || ${name('p.schemaname', 'p.tablename')} || ' for ' || lower(p.cmd)
    || ' to ' || array_to_string(p.roles, ', ') || coalesce(E'\\n  using (' || p.qual || ')', '')
    || coalesce(E'\\n  with check (' || p.with_check || ')', '') || ';', E'\\n' order by p.policyname)
  from pg_policies p where p.schemaname = n.nspname and p.tablename = c.relname`;
const relation = name('n.nspname', 'c.relname');
const columnGrants = `
  select string_agg(line, E'\\n' order by line) from (
    select 'grant ' || lower(x.privilege_type) || ' (' || string_agg(quote_ident(a.attname), ', ' order by a.attname) || ') on ' || ${relation}
      || ' to ' || quote_ident(r.rolname) || ';' as line
    from pg_attribute a cross join aclexplode(a.attacl) x join pg_roles r on r.oid = x.grantee
    where a.attrelid = c.oid and not a.attisdropped group by x.privilege_type, r.rolname) g`;
const columnComments = `
  select string_agg(${commentOn('column', `${relation} || '.' || quote_ident(a.attname)`, 'col_description(c.oid, a.attnum)')}, E'\\n' order by a.attname)
  from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and col_description(c.oid, a.attnum) is not null`;

const relations = `
  select case c.relkind when 'v' then 'view ' else 'table ' end || n.nspname || '.' || c.relname as title, array_to_string(array[
      case when c.relkind = 'v' then 'create view ' || ${relation} || coalesce(' with (' || array_to_string(c.reloptions, ', ') || ')', '') || ' as' || E'\\n'
          || pg_get_viewdef(c.oid)
        else 'create ' || case c.relpersistence when 'u' then 'unlogged ' else '' end || 'table ' || ${relation} || E' (\\n'
          || array_to_string(array[(${columns}), (${constraints})], E',\\n') || E'\\n);' end,
      ${commentOn('table', relation, "obj_description(c.oid, 'pg_class')")},
      (${columnComments}), (${indexes}), (${triggers}),
      case when c.relrowsecurity then 'alter table ' || ${relation} || ' enable row level security;' end,
      (${policies}),
      (select string_agg(line, E'\\n') from (${grants('c.relacl', 'c.relowner', relation)}) g), (${columnGrants})], E'\\n') as text
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${ofOurs} and c.relkind in ('r', 'p', 'v', 'm')
  order by c.relkind, n.nspname, c.relname`;

const signature = `${name('n.nspname', 'p.proname')} || '(' || pg_get_function_identity_arguments(p.oid) || ')'`;
const functions = `
  select 'function ' || n.nspname || '.' || p.proname as title, array_to_string(array[
      rtrim(pg_get_functiondef(p.oid), E'\\n') || ';',
      ${commentOn('function', signature, "obj_description(p.oid, 'pg_proc')")},
      (select string_agg(line, E'\\n') from (${grants("coalesce(p.proacl, acldefault('f', p.proowner))", 'p.proowner', `'function ' || ${signature}`)}) g)], E'\\n') as text
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace where ${ofOurs} order by n.nspname, p.proname, 1, ${signature}`;

const defaults = `
  select 'default privileges' as title, string_agg('-- ' || case d.defaclobjtype when 'f' then 'functions' when 'r' then 'tables' when 'S' then 'sequences' else 'types' end
    || coalesce(' in ' || n.nspname, '') || ': ' || d.defaclacl::text, E'\\n' order by d.defaclobjtype, n.nspname) as text
  from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace where d.defaclrole = 'postgres'::regrole having count(*) > 0`;

const heading = `-- Derived from supabase/migrations by \`npm run generate:database\`: what they come to. Read it, compare it; it is never applied.
-- \`npm run verify\` fails when it is not what the migrations make.
`;

/** @param db connected as one who may read the catalog; any role may */
export async function dumpSchema(db: Pick<pg.Client, 'query'>): Promise<string> {
  const parts: string[] = [heading];
  for (const query of [schemas, defaults, relations, functions]) {
    const { rows } = await db.query<{ title: string; text: string }>(query);
    for (const { title, text } of rows) parts.push(`-- ── ${title} ──\n${text}\n`);
  }
  return parts.join('\n');
}
