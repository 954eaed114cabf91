create table apps (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  name text not null check (length(name) between 1 and 200),
  type text not null check (type in ('android', 'capacitor', 'cordova', 'ios')),
  app_channel_id uuid,
  app_channel_discovery_enabled boolean not null default false,
  next_build_number int not null default 1,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id)
);

-- The customer's public keys that may sign this app's live updates.
create table app_public_keys (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  pem text not null,
  fingerprint_sha256 text not null,
  revoked_at timestamptz,
  created_by uuid,
  created_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade
);
create unique index app_public_keys_app_fingerprint_unique on app_public_keys (app_id, fingerprint_sha256);

create table credentials (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  name_lower text not null,
  platform text not null check (platform in ('android', 'ios', 'web')),
  type text not null check (type in ('development', 'production')),
  kind text not null check (kind in ('android.keystore')),
  current_version int not null,
  created_by uuid,
  updated_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade
);
create unique index credentials_app_platform_name_unique on credentials (app_id, platform, name_lower);

create table credential_versions (
  id uuid primary key,
  org_id uuid not null,
  credential_id uuid not null,
  version int not null check (version > 0),
  envelope bytea not null,
  kek_id text not null,
  kek_version int not null,
  fingerprint_sha256 text not null,
  key_alias text,
  file_name text not null,
  file_mime_type text not null,
  file_size_bytes int not null,
  expires_at timestamptz,
  facts jsonb not null default '{}',
  created_by uuid,
  created_at timestamptz not null default now(),
  unique (org_id, id),
  unique (credential_id, version),
  foreign key (org_id, credential_id) references credentials (org_id, id) on delete cascade
);

alter table apps enable row level security;
alter table apps force row level security;
create policy apps_org on apps using (org_id = app_org()) with check (org_id = app_org());
create policy apps_lookup on apps for select using (id::text = app_lookup());
alter table app_public_keys enable row level security;
alter table app_public_keys force row level security;
create policy app_public_keys_org on app_public_keys using (org_id = app_org()) with check (org_id = app_org());
alter table credentials enable row level security;
alter table credentials force row level security;
create policy credentials_org on credentials using (org_id = app_org()) with check (org_id = app_org());
alter table credential_versions enable row level security;
alter table credential_versions force row level security;
create policy credential_versions_org on credential_versions
  using (org_id = app_org()) with check (org_id = app_org());

grant select, insert, update, delete on apps, app_public_keys, credentials, credential_versions to capstan_api;
grant select on apps, credentials, credential_versions to capstan_broker;
