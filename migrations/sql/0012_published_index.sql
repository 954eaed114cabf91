-- What update checks are answered from is held in memory by every API process. Two doors look across organizations for
-- it: `published` reads what devices may learn, `check-ins` writes down what devices said about themselves.
create function app_view() returns text language sql stable parallel safe
  as $$ select nullif(current_setting('app.view', true), '') $$;

create policy apps_published on apps for select to capstan_api using (app_view() in ('published', 'check-ins'));
create policy channels_published on channels for select to capstan_api using (app_view() = 'published');
create policy deployments_published on deployments for select to capstan_api using (app_view() = 'published');
create policy bundles_published on bundles for select to capstan_api
  using (app_view() = 'published' and status = 'ready');
create policy builds_published on builds for select to capstan_api
  using (app_view() = 'published' and platform = 'web');
create policy devices_published on devices for select to capstan_api
  using (app_view() = 'published' and forced_app_channel_id is not null);
create policy devices_check_ins_read on devices for select to capstan_api using (app_view() = 'check-ins');
create policy devices_check_ins_add on devices for insert to capstan_api with check (app_view() = 'check-ins');
create policy devices_check_ins_change on devices for update to capstan_api
  using (app_view() = 'check-ins') with check (app_view() = 'check-ins');

create index devices_forced on devices (app_id) where forced_app_channel_id is not null;

-- The transaction that last changed what an app publishes. A reader that remembers the oldest transaction still running
-- at its last look asks for rows from that one on, and misses none, in whichever order they commit. Rows outlive their
-- app, or a deletion could be missed.
create table app_changes (
  app_id uuid primary key,
  org_id uuid not null,
  changed_in bigint not null
);
create index app_changes_changed_in on app_changes (changed_in);
alter table app_changes enable row level security;
alter table app_changes force row level security;
create policy app_changes_org on app_changes using (org_id = app_org()) with check (org_id = app_org());
create policy app_changes_published on app_changes for select to capstan_api using (app_view() = 'published');
grant select, insert, update on app_changes to capstan_api, capstan_control;

-- Deferred, so that the row is locked after every other lock of the transaction, once for all of its changes.
create function note_app_change() returns trigger language plpgsql as $$
declare
  changed record := coalesce(new, old);
  app uuid := case tg_table_name when 'apps' then (to_jsonb(changed) ->> 'id') else (to_jsonb(changed) ->> 'app_id') end;
  this bigint := pg_current_xact_id()::text::bigint;
begin
  insert into app_changes as known (app_id, org_id, changed_in) values (app, changed.org_id, this)
    on conflict (app_id) do update set changed_in = excluded.changed_in where known.changed_in <> excluded.changed_in;
  if found then perform pg_notify('app_changed', app::text); end if;
  return null;
end $$;

create constraint trigger apps_changed
  after insert or delete or update of app_channel_id, app_channel_discovery_enabled on apps
  deferrable initially deferred for each row execute function note_app_change();
create constraint trigger channels_changed after insert or update or delete on channels
  deferrable initially deferred for each row execute function note_app_change();
create constraint trigger deployments_changed after insert or update or delete on deployments
  deferrable initially deferred for each row execute function note_app_change();
create constraint trigger bundles_changed
  after update of status, url, checksum, signature, release_envelope on bundles
  deferrable initially deferred for each row execute function note_app_change();
create constraint trigger builds_changed after update of constraints, custom_properties on builds
  deferrable initially deferred for each row when (new.platform = 'web') execute function note_app_change();
create constraint trigger devices_forced_at_once after insert on devices
  deferrable initially deferred for each row when (new.forced_app_channel_id is not null)
  execute function note_app_change();
create constraint trigger devices_forced_later after update of forced_app_channel_id on devices
  deferrable initially deferred for each row
  when (new.forced_app_channel_id is distinct from old.forced_app_channel_id) execute function note_app_change();
create constraint trigger devices_forced_gone after delete on devices
  deferrable initially deferred for each row when (old.forced_app_channel_id is not null)
  execute function note_app_change();
