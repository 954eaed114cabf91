-- Where the control process sends each signed checkpoint of an organization's audit chain. How far it has come is the
-- number of events in the last one that was taken.
create table checkpoint_webhooks (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  url text not null check (length(url) <= 2000),
  -- Sealed under a key that the database does not hold.
  sealed_secret bytea not null,
  delivered_size bigint not null check (delivered_size >= 0),
  failures int not null default 0 check (failures >= 0),
  last_failure text check (length(last_failure) <= 500),
  next_attempt_at timestamptz not null default now(),
  delivered_at timestamptz,
  created_at timestamptz not null default now(),
  unique (org_id, id)
);
create index checkpoint_webhooks_next_attempt_at on checkpoint_webhooks (next_attempt_at);

alter table checkpoint_webhooks enable row level security;
alter table checkpoint_webhooks force row level security;
create policy checkpoint_webhooks_org on checkpoint_webhooks using (org_id = app_org()) with check (org_id = app_org());
create policy checkpoint_webhooks_due on checkpoint_webhooks for select to capstan_control using (next_attempt_at <= now());
create trigger checkpoint_webhooks_organization before insert on checkpoint_webhooks
  for each row execute function refuse_ended_organization();
grant select, insert, delete on checkpoint_webhooks to capstan_api;
grant select on checkpoint_webhooks to capstan_control;
grant update (delivered_size, failures, last_failure, next_attempt_at, delivered_at) on checkpoint_webhooks to capstan_control;
