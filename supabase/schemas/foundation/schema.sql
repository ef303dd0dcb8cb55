-- Foundation: the private schema, the roles, and what every role may do by default.
--
-- Nothing is granted by default. Every table has row level security. There is one policy per operation, and its name
-- says what it permits. A function's grant is below the function; a table's grants and policies are in rights.sql of
-- its domain.
--
-- - orchestrator: reads everything, and writes only through the functions granted to it.
-- - session_worker: has access to its own session only (claims session_id, machine_id, epoch), through a few functions
--   and two readable tables.
-- - authenticated: members of a tenant read their tenant's rows; the platform API writes on their behalf.
-- - anon: nothing.

-- Function bodies may refer to tables and functions of domains that are applied later. A test checks all bodies.
set check_function_bodies = off;

create schema app;
comment on schema app is 'Internal functions of the product. The API does not expose this schema.';

create role orchestrator nologin noinherit;
create role session_worker nologin noinherit;
grant orchestrator, session_worker to authenticator;
grant usage on schema public, app to orchestrator, session_worker, authenticated;
alter role orchestrator set statement_timeout = '8s';
alter role session_worker set statement_timeout = '8s';

-- PostgreSQL grants EXECUTE to everybody by default; here a role has it only by an explicit grant. This statement must
-- not have `in schema`, because default privileges of a schema can only add rights.
alter default privileges revoke execute on functions from public;
-- Older hosted projects and self-hosted ones grant everything new in schema public to the API's roles. Rights must not
-- depend on the kind of project.
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
