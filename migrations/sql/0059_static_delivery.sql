-- What devices may learn of an app is also written as plain objects that a CDN can serve, where the app wants that.
alter table apps add column static_delivery_enabled boolean not null default false;
create index apps_static on apps (id) where static_delivery_enabled;

-- Which change of an app its objects show. Rows outlive their app: they are how its objects are found and removed.
create table static_apps (
  app_id uuid primary key,
  org_id uuid not null,
  -- As in app_changes; null: to be written anew.
  changed_in bigint,
  -- Before the statements in the objects end.
  renew_at timestamptz,
  claimed_until timestamptz
);

create table static_objects (
  app_id uuid not null references static_apps (app_id) on delete cascade,
  org_id uuid not null,
  path text not null,
  -- Of what an object says apart from its signatures, to notice that it says something else.
  digest text not null,
  written_at timestamptz not null,
  -- Since when nothing names it; caches may hold what does for a while.
  unused_since timestamptz,
  primary key (app_id, path)
);

do $$
declare t text;
begin
  foreach t in array array['static_apps', 'static_objects'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', t || '_org', t);
    execute format('grant select, insert, update, delete on %I to capstan_control', t);
  end loop;
end $$;

-- The control process finds what is due in every organization, then acts inside `withOrg`.
create policy static_apps_control on static_apps for select to capstan_control using (true);
create policy app_changes_control on app_changes for select to capstan_control using (true);
grant select on bundle_copy_hazards to capstan_control;

-- For the organization that was served the longest ago.
create index bundle_patches_org_updated on bundle_patches (org_id, updated_at desc);
