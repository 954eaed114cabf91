-- Which apps have static objects to be written is noted where it changes: the look for them reads nothing of all others.
alter table static_apps
  -- The transaction that last changed what they should show; they do show it once `changed_in` is the same.
  add column wanted_in bigint not null default 0;

create index static_apps_changed on static_apps (app_id) where claimed_until is null and changed_in is distinct from wanted_in;
create index static_apps_renew_at on static_apps (renew_at)
  where claimed_until is null and changed_in is not distinct from wanted_in;
create index static_apps_claimed_until on static_apps (claimed_until) where claimed_until is not null;
drop index apps_static;
drop policy app_changes_control on app_changes;

-- Every app is looked at once after this.
insert into static_apps (app_id, org_id) select id, org_id from apps where static_delivery_enabled
  on conflict (app_id) do nothing;

create function want_static_app() returns trigger language plpgsql as $$
declare
  this bigint := pg_current_xact_id()::text::bigint;
begin
  insert into static_apps (app_id, org_id, wanted_in) values (new.id, new.org_id, this)
    on conflict (app_id) do update set wanted_in = this;
  return null;
end $$;
create trigger apps_static_at_once after insert on apps
  for each row when (new.static_delivery_enabled) execute function want_static_app();
create trigger apps_static_later after update of static_delivery_enabled on apps
  for each row when (new.static_delivery_enabled is distinct from old.static_delivery_enabled)
  execute function want_static_app();

create function want_static_change() returns trigger language plpgsql as $$
begin
  update static_apps set wanted_in = new.changed_in where app_id = new.app_id;
  return null;
end $$;
create trigger app_changes_static after insert or update on app_changes
  for each row execute function want_static_change();

create function unwant_static_apps() returns trigger language plpgsql as $$
begin
  update static_apps set wanted_in = pg_current_xact_id()::text::bigint where org_id = new.id;
  return null;
end $$;
create trigger organizations_static after update of terminating_at on organizations
  for each row when (new.terminating_at is distinct from old.terminating_at) execute function unwant_static_apps();

-- As much as these triggers do; what is shown only the control process says.
grant select (app_id, org_id), insert (app_id, org_id, wanted_in), update (wanted_in) on static_apps to capstan_api;
