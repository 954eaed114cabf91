-- A patch leads devices from one bundle of an app to another. The row is the order for it, too: what has a wanted effort
-- is due; a control process claims it for a while, makes it and notes what came of it.
create table bundle_patches (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  from_bundle_id uuid not null,
  to_bundle_id uuid not null,
  wanted_effort text default 'fast' check (wanted_effort in ('fast', 'best')),
  claimed_until timestamptz,
  attempts int not null default 0,
  object_key text,
  size_bytes bigint,
  sha256 text,
  -- Why no patch is offered, or no better one.
  refusal text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  unique (to_bundle_id, from_bundle_id),
  check (from_bundle_id <> to_bundle_id),
  check ((object_key is null) = (size_bytes is null) and (object_key is null) = (sha256 is null)),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, from_bundle_id) references bundles (org_id, id) on delete cascade,
  foreign key (org_id, to_bundle_id) references bundles (org_id, id) on delete cascade
);
create index bundle_patches_due on bundle_patches (wanted_effort, created_at) where wanted_effort is not null;
create index bundle_patches_from on bundle_patches (from_bundle_id);

-- Which bundle a native version of the app was shipped with.
create table embedded_bundles (
  org_id uuid not null,
  app_id uuid not null,
  platform text not null check (platform in ('android', 'ios', 'electron', 'web')),
  version_code text not null check (length(version_code) between 1 and 100),
  bundle_id uuid not null,
  created_at timestamptz not null default now(),
  primary key (app_id, platform, version_code),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, bundle_id) references bundles (org_id, id) on delete cascade
);
create index embedded_bundles_bundle on embedded_bundles (bundle_id);

do $$
declare t text;
begin
  foreach t in array array['bundle_patches', 'embedded_bundles'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', t || '_org', t);
    execute format('grant select, insert, update, delete on %I to capstan_api', t);
  end loop;
end $$;

-- Update checks are answered from memory: what is offered is read into it, and a change of it noted.
create policy bundle_patches_published on bundle_patches for select to capstan_api
  using (app_view() = 'published' and sha256 is not null);
create constraint trigger bundle_patches_changed after update of sha256 or delete on bundle_patches
  deferrable initially deferred for each row execute function note_app_change();

-- The control process finds what is due in every organization, then acts inside `withOrg`.
create policy bundle_patches_control on bundle_patches for select to capstan_control using (true);
grant select, insert, update, delete on bundle_patches to capstan_control;
grant select on embedded_bundles, bundles, bundle_files, deployments to capstan_control;
