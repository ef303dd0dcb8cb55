-- Foundation: the private schema, the roles, and what every role may do by default.
--
-- Nothing is granted by default. Every table has row level security. There is one policy per operation, named for what
-- it permits. A function's grant stands below the function; a table's grants and policies stand in rights.sql of its
-- domain.
--
-- - orchestrator: reads everything, writes only through the functions granted to it.
-- - session_worker: knows one session, its own (claims session_id, machine_id, epoch), by a few functions and two
--   reads.
-- - authenticated: members of a tenant read their tenant's rows; the platform API writes on their behalf.
-- - anon: nothing.

-- Function bodies name tables and functions of domains that are applied later. A test checks them all at the end.
set check_function_bodies = off;

create schema app;
comment on schema app is 'Helpers of the product that the API does not expose.';

create role orchestrator nologin noinherit;
create role session_worker nologin noinherit;
grant orchestrator, session_worker to authenticator;
grant usage on schema public, app to orchestrator, session_worker, authenticated;
alter role orchestrator set statement_timeout = '8s';
alter role session_worker set statement_timeout = '8s';

-- PostgreSQL grants EXECUTE to everybody by default; here no role has it unless a grant names it. This statement must
-- not say `in schema`: per schema, the default for everybody can only be added to.
alter default privileges revoke execute on functions from public;
-- Older hosted projects and self-hosted ones grant everything new in schema public to the API's roles. Rights must not
-- depend on the kind of project.
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
