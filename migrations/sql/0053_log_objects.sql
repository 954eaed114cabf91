-- The whole log of a job that has ended, as one object: gzip members of NDJSON, each found by its place in `chunks`
-- ([{ first, last, offset, bytes, sha256 }]), so that a part is read without the rest. The rows of `job_logs` go later.
create table job_log_objects (
  job_id uuid primary key,
  org_id uuid not null,
  object_key text not null,
  size_bytes bigint not null,
  sha256 text not null,
  last_number int not null,
  chunks jsonb not null,
  rows_deleted_at timestamptz,
  created_at timestamptz not null default now(),
  foreign key (org_id, job_id) references jobs (org_id, id) on delete cascade
);
create index job_log_objects_rows on job_log_objects (created_at) where rows_deleted_at is null;

alter table job_log_objects enable row level security;
alter table job_log_objects force row level security;
create policy job_log_objects_org on job_log_objects using (org_id = app_org()) with check (org_id = app_org());
create policy job_log_objects_control on job_log_objects for select to capstan_control using (true);
grant select on job_log_objects to capstan_api;
grant select, insert, update, delete on job_log_objects to capstan_control;
grant delete on job_logs to capstan_control;

-- Set when the log of a job that has ended lies in the object store, or when it has none.
alter table jobs add column log_stored_at timestamptz;
create index jobs_log_waiting on jobs (finished_at) where finished_at is not null and log_stored_at is null;
