create function public.register_orchestrator(p_id uuid, p_url text, p_version text) returns void
language sql volatile security definer set search_path = '' as $$
  insert into public.orchestrators (id, url, version) values (p_id, p_url, p_version)
  on conflict (id) do update set last_seen_at = clock_timestamp(), url = excluded.url, version = excluded.version
$$;
comment on function public.register_orchestrator(uuid, text, text) is
  'Registers an orchestrator, or renews its registration; called at start-up and by its readiness check.';
grant execute on function public.register_orchestrator(uuid, text, text) to orchestrator;

create function public.announce_image(p_orchestrator_id uuid, p_image text) returns boolean
language sql volatile security definer set search_path = '' as $$
  with done as (update public.orchestrators set worker_image = p_image where id = p_orchestrator_id
    returning 1) select exists (select from done)
$$;
comment on function public.announce_image(uuid, text) is
  'Stores with which worker image an orchestrator was started; called by the pool planner. Returns false if the '
  'orchestrator is not registered yet.';
grant execute on function public.announce_image(uuid, text) to orchestrator;

create function public.keep_duties(p_orchestrator_id uuid, p_url text, p_version text, p_names text[],
  p_lease_ms integer, p_draining boolean default false)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
  v_now timestamptz;
  v_live integer;
  v_share integer;
  v_mine integer;
begin
  -- One orchestrator at a time, because the shares are counted. It is short, and runs a few times a second in all.
  perform pg_advisory_xact_lock(hashtextextended('duties', 0));
  v_now := clock_timestamp();
  insert into public.orchestrators (id, url, version, draining) values (p_orchestrator_id, p_url, p_version, p_draining)
    on conflict (id) do update set last_seen_at = v_now, url = excluded.url, version = excluded.version,
      draining = excluded.draining;
  delete from public.orchestrators where last_seen_at < v_now - interval '1 hour';
  if p_draining then
    update public.duties set holder = null, expires_at = '-infinity' where holder = p_orchestrator_id;
    return '[]';
  end if;
  insert into public.duties (name) select unnest(p_names) on conflict do nothing;
  select count(*) into v_live from public.orchestrators where not draining
    and last_seen_at > v_now - app.interval_ms(p_lease_ms);
  v_share := ceil(cardinality(p_names)::numeric / greatest(v_live, 1));
  -- An expired lease is not renewed but taken again with a new fence, so that a holder that was suspended is noticed.
  update public.duties set expires_at = v_now + app.interval_ms(p_lease_ms)
    where holder = p_orchestrator_id and name = any (p_names) and expires_at > v_now;
  get diagnostics v_mine = row_count;
  if v_mine > v_share then
    update public.duties set holder = null, expires_at = '-infinity' where name in (
      select name from public.duties where holder = p_orchestrator_id and expires_at > v_now order by name desc
        limit v_mine - v_share);
  elsif v_mine < v_share then
    update public.duties set holder = p_orchestrator_id, fence = fence + 1,
      expires_at = v_now + app.interval_ms(p_lease_ms) where name in (
      select name from public.duties where name = any (p_names) and expires_at <= v_now order by name
        limit v_share - v_mine);
  end if;
  return (select coalesce(jsonb_agg(jsonb_build_object('name', name, 'fence', fence) order by name), '[]')
    from public.duties where holder = p_orchestrator_id and expires_at > v_now);
end $$;
comment on function public.keep_duties(uuid, text, text, text[], integer, boolean) is
  'Renews an orchestrator''s registration and duties; called regularly by each orchestrator. It gets its fair share '
  'of the free duties and loses those above its share. A draining orchestrator loses all. Returns the duties that it '
  'now holds, with their fences.';
grant execute on function public.keep_duties(uuid, text, text, text[], integer, boolean) to orchestrator;

create function app.on_duty(p_duty text, p_fence bigint) returns boolean
language plpgsql set search_path = '' as $$
begin
  if p_duty is null then return true; end if;
  -- FOR SHARE, so that the duty cannot change its holder before this transaction ends.
  perform 1 from public.duties where name = p_duty and fence = p_fence and expires_at > clock_timestamp() for share;
  return found;
end $$;
comment on function app.on_duty(text, bigint) is
  'Returns whether the calling orchestrator still holds the duty with this fence. True for work that needs no duty.';
