-- A bundle is the live-update artefact of a web build; devices know it by this id and its content never changes.
create table bundles (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  build_id uuid not null,
  artifact_type text not null check (artifact_type in ('zip', 'manifest')),
  status text not null default 'pending' check (status in ('pending', 'ready', 'failed')),
  channel_name text,
  rollout_percentage double precision not null default 1 check (rollout_percentage between 0 and 1),
  checksum text,
  signature text,
  url text,
  file_id uuid,
  release_envelope jsonb,
  release_sequence bigint,
  ready_at timestamptz,
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  unique (build_id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, build_id) references builds (org_id, id) on delete cascade
);

create table bundle_files (
  id uuid primary key,
  org_id uuid not null,
  bundle_id uuid not null,
  href text,
  name text not null,
  mime_type text not null,
  size_bytes bigint not null,
  sha256 text not null,
  signature text,
  object_key text,
  status text not null default 'pending' check (status in ('pending', 'ready')),
  created_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, bundle_id) references bundles (org_id, id) on delete cascade
);
create unique index bundle_files_bundle_href_unique on bundle_files (bundle_id, coalesce(href, ''));

create table channels (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  app_deployment_id uuid,
  protected_at timestamptz,
  paused_at timestamptz,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  unique (app_id, name),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade
);

create table deployments (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  app_build_id uuid not null,
  app_channel_id uuid not null,
  bundle_id uuid not null,
  rollout_percentage double precision not null default 1 check (rollout_percentage between 0 and 1),
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, app_build_id) references builds (org_id, id) on delete cascade,
  foreign key (org_id, app_channel_id) references channels (org_id, id) on delete cascade,
  foreign key (org_id, bundle_id) references bundles (org_id, id) on delete cascade
);
create index deployments_channel on deployments (app_channel_id, id desc);

-- Both point back at a row that points at them; the pair is checked at commit.
alter table channels add foreign key (org_id, app_deployment_id) references deployments (org_id, id)
  on delete set null (app_deployment_id) deferrable initially deferred;
alter table apps add foreign key (org_id, app_channel_id) references channels (org_id, id)
  on delete set null (app_channel_id) deferrable initially deferred;

create table devices (
  org_id uuid not null,
  app_id uuid not null,
  id text not null check (length(id) between 1 and 128),
  platform int not null,
  os_version text,
  app_version_code text,
  app_version_name text,
  plugin_version text,
  custom_id text,
  app_channel_id uuid,
  app_deployment_id uuid,
  bundle_id uuid,
  forced_app_channel_id uuid,
  last_seen_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  primary key (app_id, id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, forced_app_channel_id) references channels (org_id, id)
    on delete set null (forced_app_channel_id)
);

do $$
declare t text;
begin
  foreach t in array array['bundles', 'bundle_files', 'channels', 'deployments', 'devices'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', t || '_org', t);
    execute format('grant select, insert, update, delete on %I to capstan_api', t);
  end loop;
end $$;
