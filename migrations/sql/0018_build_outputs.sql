-- What the relay marks once a build's worker was rung for.
create index outbox_unsent_build on outbox ((payload ->> 'buildId')) where sent_at is null;
create index outbox_sent on outbox (sent_at) where sent_at is not null;

-- Whoever has the link sees one build's files until it expires; the id is random in all its bits.
create table build_shares (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  build_id uuid not null,
  description text,
  expires_at timestamptz,
  created_by uuid,
  created_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, build_id) references builds (org_id, id) on delete cascade
);
create index build_shares_build on build_shares (build_id);

-- The signed statement of where an artefact comes from: a DSSE envelope as the broker made it.
create table artifact_provenance (
  artifact_id uuid primary key,
  org_id uuid not null,
  envelope jsonb not null,
  created_at timestamptz not null default now(),
  foreign key (org_id, artifact_id) references artifacts (org_id, id) on delete cascade
);

-- Null: kept for ever. Files of a build that a live update is served from stay in any case.
alter table organizations add column artifact_retention_days int
  check (artifact_retention_days between 1 and 3650);
alter table artifacts add column expired_at timestamptz;
create index artifacts_kept on artifacts (created_at) where status = 'ready';
create index uploads_open on uploads (created_at) where status = 'open';
create index build_sources_made on build_sources (created_at);

-- Bytes of log text that were kept, and lines that were not, because the log had grown to its limit.
alter table jobs add column log_bytes bigint not null default 0;
alter table jobs add column log_lines_dropped bigint not null default 0;

do $$
declare t text;
begin
  foreach t in array array['build_shares', 'artifact_provenance'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', t || '_org', t);
  end loop;
end $$;
create policy build_shares_lookup on build_shares for select using (id::text = app_lookup());
create policy uploads_control on uploads for select to capstan_control using (true);
create policy artifacts_control on artifacts for select to capstan_control using (true);

grant select, insert, update, delete on build_shares to capstan_api;
grant select on artifact_provenance to capstan_api;
grant select, insert on artifact_provenance to capstan_broker;
grant select on artifacts to capstan_broker;
grant select, delete on uploads, upload_parts to capstan_control;
grant select on build_sources, bundle_files to capstan_control;
