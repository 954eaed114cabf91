-- Parts of a multipart upload; `complete` joins them under the target's object key.
create table uploads (
  id text primary key check (id ~ '^[A-Za-z0-9_-]{16,64}$'),
  org_id uuid not null references organizations (id) on delete cascade,
  target_kind text not null check (target_kind in ('build-source', 'bundle-file')),
  target_id uuid not null,
  status text not null default 'open' check (status in ('open', 'completed')),
  created_at timestamptz not null default now(),
  completed_at timestamptz,
  unique (org_id, id)
);
create index uploads_target on uploads (target_id);

create table upload_parts (
  org_id uuid not null,
  upload_id text not null,
  part_number int not null check (part_number between 1 and 10000),
  object_key text not null,
  size_bytes bigint not null,
  sha256 text not null,
  created_at timestamptz not null default now(),
  primary key (upload_id, part_number),
  foreign key (org_id, upload_id) references uploads (org_id, id) on delete cascade
);

create table build_sources (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  type text not null check (type in ('archive')),
  status text not null default 'pending' check (status in ('pending', 'ready')),
  file_size_bytes bigint,
  sha256 text,
  object_key text,
  created_by uuid,
  created_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade
);

create table builds (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  number int not null,
  platform text not null check (platform in ('android', 'ios', 'web')),
  type text,
  display_name text,
  package_name text,
  build_source_id uuid,
  credential_id uuid,
  credential_version int,
  variables jsonb not null default '{}',
  custom_properties jsonb not null default '{}',
  constraints jsonb not null default '{}',
  git jsonb not null default '{}',
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  unique (app_id, number),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, build_source_id) references build_sources (org_id, id) on delete set null (build_source_id),
  foreign key (org_id, credential_id) references credentials (org_id, id) on delete set null (credential_id)
);

-- `attempt` is the fencing token: every write of a worker names it.
create table jobs (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  build_id uuid not null,
  status text not null default 'queued'
    check (status in ('queued', 'pending', 'in_progress', 'succeeded', 'failed', 'canceled', 'rejected', 'timed_out')),
  status_code text,
  status_message text,
  attempt int not null default 0,
  max_attempts int not null default 2,
  next_log_number int not null default 1,
  cancel_requested_at timestamptz,
  created_by uuid,
  queued_at timestamptz not null default now(),
  pending_at timestamptz,
  in_progress_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  unique (build_id),
  foreign key (org_id, build_id) references builds (org_id, id) on delete cascade,
  check ((finished_at is not null) = (status in ('succeeded', 'failed', 'canceled', 'rejected', 'timed_out')))
);
create index jobs_unfinished on jobs (status) where finished_at is null;

create function refuse_leaving_terminal() returns trigger language plpgsql as $$
begin
  if old.finished_at is not null and new.status is distinct from old.status then
    raise exception 'job % is finished', old.id using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger jobs_terminal before update on jobs for each row execute function refuse_leaving_terminal();

create table job_phases (
  org_id uuid not null,
  job_id uuid not null,
  attempt int not null,
  phase text not null,
  state text not null check (state in ('started', 'succeeded', 'failed', 'skipped')),
  detail text,
  started_at timestamptz not null,
  finished_at timestamptz,
  primary key (job_id, attempt, phase),
  foreign key (org_id, job_id) references jobs (org_id, id) on delete cascade
);

-- One row a batch of lines. `lines` is [{ number, at, phase, text }]; numbers grow over all attempts of a job.
create table job_logs (
  org_id uuid not null,
  job_id uuid not null,
  attempt int not null,
  batch int not null,
  first_number int not null,
  last_number int not null,
  lines jsonb not null,
  created_at timestamptz not null default now(),
  primary key (job_id, attempt, batch),
  foreign key (org_id, job_id) references jobs (org_id, id) on delete cascade
);
create index job_logs_job_last_number on job_logs (job_id, last_number);

create table leases (
  id uuid primary key,
  org_id uuid not null,
  job_id uuid not null,
  build_id uuid not null,
  attempt int not null,
  worker_id uuid not null references workers (id),
  worker_name text not null,
  token_hash text not null,
  claim_nonce uuid,
  expires_at timestamptz not null,
  ended_at timestamptz,
  created_at timestamptz not null default now(),
  unique (org_id, id),
  unique (job_id, attempt),
  foreign key (org_id, job_id) references jobs (org_id, id) on delete cascade,
  foreign key (org_id, build_id) references builds (org_id, id) on delete cascade
);
create unique index leases_token_hash_unique on leases (token_hash);
create index leases_live on leases (expires_at) where ended_at is null;

create table credential_opens (
  org_id uuid not null,
  lease_id uuid not null,
  credential_version_id uuid not null,
  step text not null,
  opened_at timestamptz not null default now(),
  primary key (lease_id, credential_version_id),
  foreign key (org_id, lease_id) references leases (org_id, id) on delete cascade,
  foreign key (org_id, credential_version_id) references credential_versions (org_id, id) on delete cascade
);

create table artifacts (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  build_id uuid not null,
  attempt int not null,
  type text not null check (type in ('apk', 'aab', 'ipa', 'zip')),
  status text not null default 'pending' check (status in ('pending', 'ready', 'discarded')),
  file_name text not null,
  file_mime_type text not null,
  file_size_bytes bigint not null,
  sha256 text not null,
  object_key text not null,
  created_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, build_id) references builds (org_id, id) on delete cascade
);
create index artifacts_build on artifacts (build_id);

create table outbox (
  id bigint generated always as identity primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  topic text not null,
  payload jsonb not null,
  created_at timestamptz not null default now(),
  sent_at timestamptz
);
create index outbox_unsent on outbox (id) where sent_at is null;

do $$
declare t text;
begin
  foreach t in array array['uploads', 'upload_parts', 'build_sources', 'builds', 'jobs', 'job_phases', 'job_logs',
                           'leases', 'credential_opens', 'artifacts', 'outbox'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', t || '_org', t);
  end loop;
end $$;
create policy builds_lookup on builds for select using (id::text = app_lookup());
create policy jobs_lookup on jobs for select using (id::text = app_lookup());
create policy leases_lookup on leases for select using (token_hash = app_lookup());

-- The control process works across organizations: it finds what is due, then acts inside `withOrg`.
create policy outbox_control on outbox to capstan_control using (true) with check (true);
create policy leases_control on leases for select to capstan_control using (true);
create policy jobs_control on jobs for select to capstan_control using (true);

grant select, insert, update, delete on uploads, upload_parts, build_sources, builds, jobs, job_phases, job_logs,
  leases, artifacts to capstan_api;
grant select, insert on outbox to capstan_api;
grant select, insert, update, delete on outbox to capstan_control;
grant select, update on jobs, leases, artifacts to capstan_control;
grant select on builds to capstan_control;
grant select, insert on job_logs to capstan_control;
grant select, update on job_phases to capstan_control;
grant select on leases, jobs, builds to capstan_broker;
grant select, insert on credential_opens to capstan_broker;
