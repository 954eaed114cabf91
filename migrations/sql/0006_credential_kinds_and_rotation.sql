alter table organizations add column web_certificates_allowed boolean not null default false;

alter table credentials drop constraint credentials_kind_check;
alter table credentials add constraint credentials_kind_check check (kind in (
  'android.keystore', 'apple.identity', 'apple.app-store-connect-key', 'apple.push-key',
  'google.service-account', 'web.signing-key'));
-- `ad-hoc`, `app-store` and `enterprise` of a certificate stand in its facts; the CLI knows these two.
drop index credentials_app_platform_name_unique;
create unique index credentials_app_platform_name_unique on credentials (app_id, platform, kind, name_lower);

-- At most one version of a credential is active; `credentials.current_version` names it.
alter table credential_versions
  add column status text not null default 'active'
    check (status in ('draft', 'validated', 'active', 'retiring', 'retired', 'destroyed')),
  add column activated_at timestamptz,
  add column retired_at timestamptz,
  add column destroyed_at timestamptz;
create unique index credential_versions_active_unique on credential_versions (credential_id) where status = 'active';
-- The key of the version is gone: what is left of it cannot be opened, and says so.
alter table credential_versions alter column envelope drop not null;
alter table credential_versions add constraint credential_versions_destroyed
  check ((status = 'destroyed') = (envelope is null));
create index credential_versions_kek on credential_versions (kek_id, kek_version, id);

-- Profiles are signed by Apple, not secret; what matters is that they are the uploaded bytes and fit a certificate.
create table provisioning_profiles (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  credential_id uuid,
  profile_uuid text not null,
  name text not null,
  team_id text not null,
  application_identifier text not null,
  type text not null check (type in ('development', 'ad-hoc', 'app-store', 'enterprise')),
  certificate_fingerprints text[] not null,
  content bytea not null,
  file_name text not null,
  expires_at timestamptz not null,
  facts jsonb not null default '{}',
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, credential_id) references credentials (org_id, id) on delete set null (credential_id)
);
create index provisioning_profiles_credential on provisioning_profiles (credential_id);

-- One row a notice that was given, so that it is given once: days before the earliest expiry of what belongs together.
create table credential_notices (
  org_id uuid not null,
  credential_id uuid not null,
  version int not null,
  days_before int not null check (days_before in (60, 30, 14, 7, 1)),
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  primary key (credential_id, version, days_before),
  foreign key (org_id, credential_id) references credentials (org_id, id) on delete cascade
);

-- Signed statements that a key is destroyed; they outlive what they speak of.
create table deletion_certificates (
  id uuid primary key,
  org_id uuid not null,
  subject_kind text not null check (subject_kind in ('credential', 'credential-version', 'organization')),
  subject_id uuid not null,
  document jsonb not null,
  created_at timestamptz not null default now()
);
create index deletion_certificates_subject on deletion_certificates (subject_id);

do $$
declare t text;
begin
  foreach t in array array['provisioning_profiles', 'credential_notices', 'deletion_certificates'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', t || '_org', t);
  end loop;
end $$;

grant select, insert, update, delete on provisioning_profiles to capstan_api;
grant select on credential_notices to capstan_api;
grant select, insert on deletion_certificates to capstan_api, capstan_broker;
grant select, insert on credential_notices to capstan_control;
-- The control process warns of expiry; envelopes are none of its business.
grant select on credentials, provisioning_profiles to capstan_control;
grant select (id, org_id, credential_id, version, status, fingerprint_sha256, expires_at, created_at,
  activated_at, retired_at, destroyed_at) on credential_versions to capstan_control;
-- Re-wrapping replaces the wrapped key inside an envelope, never the envelope's body.
grant update (envelope, kek_id, kek_version) on credential_versions to capstan_broker;
-- The broker and the control process find such rows in every organization, then act inside `withOrg`.
create policy credential_versions_rewrap on credential_versions for select to capstan_broker using (true);
create policy credential_versions_control on credential_versions for select to capstan_control using (true);
