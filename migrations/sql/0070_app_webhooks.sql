-- Where events of an app are sent. Address and secret are sealed under a key that the database does not hold: the address
-- of a chat's hook lets whoever has it write there. `failing_since`: nothing was taken since then, though it was tried.
create table app_webhooks (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  host text not null check (length(host) <= 300),
  sealed_url bytea not null,
  sealed_secret bytea not null,
  -- Signs as well until then, so that receivers can be told of the new one.
  sealed_old_secret bytea,
  old_secret_until timestamptz,
  events text[] not null check (cardinality(events) > 0 and events <@
    array['app_build_created', 'app_deployment_created', 'job_created', 'job_finished']),
  format text not null check (format in ('raw', 'slack', 'discord', 'teams')),
  enabled boolean not null default true,
  disabled_reason text check (length(disabled_reason) <= 500),
  failing_since timestamptz,
  last_delivered_at timestamptz,
  created_by uuid not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  check ((sealed_old_secret is null) = (old_secret_until is null))
);
create index app_webhooks_app on app_webhooks (org_id, app_id);

-- What is to be sent, written in the transaction of what it tells of. The id stays the same however often it is sent.
create table app_webhook_deliveries (
  id uuid primary key,
  org_id uuid not null,
  webhook_id uuid not null,
  event text not null,
  facts jsonb not null,
  status text not null default 'pending' check (status in ('pending', 'delivered', 'failed')),
  attempts int not null default 0 check (attempts >= 0),
  next_attempt_at timestamptz not null default now(),
  last_attempt_at timestamptz,
  last_status int,
  last_failure text check (length(last_failure) <= 500),
  delivered_at timestamptz,
  created_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, webhook_id) references app_webhooks (org_id, id) on delete cascade
);
create index app_webhook_deliveries_due on app_webhook_deliveries (next_attempt_at) where status = 'pending';
create index app_webhook_deliveries_webhook on app_webhook_deliveries (org_id, webhook_id, created_at);
create index app_webhook_deliveries_age on app_webhook_deliveries (created_at);

do $$
declare t text;
begin
  foreach t in array array['app_webhooks', 'app_webhook_deliveries'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', t || '_org', t);
  end loop;
end $$;
create policy app_webhooks_control on app_webhooks for select to capstan_control using (enabled);
create policy app_webhook_deliveries_control on app_webhook_deliveries for select to capstan_control
  using (status = 'pending' and next_attempt_at <= now());
create policy app_webhook_deliveries_old on app_webhook_deliveries to capstan_control
  using (created_at < now() - interval '30 days');
create trigger app_webhooks_organization before insert on app_webhooks
  for each row execute function refuse_ended_organization();

grant select, insert, delete on app_webhooks to capstan_api;
grant update (name, host, sealed_url, sealed_secret, sealed_old_secret, old_secret_until, events, format, enabled,
  disabled_reason, failing_since, updated_at) on app_webhooks to capstan_api;
grant select, insert on app_webhook_deliveries to capstan_api;
grant update (status, attempts, next_attempt_at, last_failure) on app_webhook_deliveries to capstan_api;
grant select on app_webhooks to capstan_control;
grant update (enabled, disabled_reason, failing_since, last_delivered_at, updated_at) on app_webhooks to capstan_control;
grant select, insert, delete on app_webhook_deliveries to capstan_control;
grant update (status, attempts, next_attempt_at, last_attempt_at, last_status, last_failure, delivered_at)
  on app_webhook_deliveries to capstan_control;

-- A trigger, because a job ends in many places: whoever writes the row leaves the message in the same transaction.
-- Times are milliseconds, as the contract has them. An organization that is being ended tells nobody anything any more.
create function note_webhook_event() returns trigger language plpgsql as $$
declare
  happened text;
  facts jsonb;
  build builds;
begin
  happened := case tg_table_name
    when 'builds' then 'app_build_created'
    when 'deployments' then 'app_deployment_created'
    else case tg_op when 'INSERT' then 'job_created' else 'job_finished' end end;
  if not exists (select 1 from app_webhooks w
      where w.org_id = new.org_id and w.app_id = new.app_id and w.enabled and happened = any (w.events))
    or exists (select 1 from organizations o where o.id = new.org_id and o.terminating_at is not null) then
    return null;
  end if;
  facts := jsonb_build_object(
    'id', new.id, 'appId', new.app_id, 'appName', (select a.name from apps a where a.id = new.app_id),
    'createdBy', new.created_by, 'createdAt', (extract(epoch from new.created_at) * 1000)::bigint);
  if tg_table_name = 'builds' then
    facts := facts || jsonb_build_object('numberAsString', new.number::text, 'platform', new.platform,
      'type', new.type, 'gitRef', new.git ->> 'ref');
  elsif tg_table_name = 'deployments' then
    select * into build from builds b where b.id = new.app_build_id;
    facts := facts || jsonb_build_object('appBuildId', new.app_build_id, 'appBuildNumberAsString', build.number::text,
      'appChannelId', new.app_channel_id,
      'appChannelName', (select c.name from channels c where c.id = new.app_channel_id),
      'rolloutPercentage', new.rollout_percentage);
  else
    select * into build from builds b where b.id = new.build_id;
    facts := facts || jsonb_build_object('appBuildId', new.build_id, 'appBuildNumberAsString', build.number::text,
      'platform', build.platform, 'status', new.status, 'statusCode', new.status_code,
      'finishedAt', (extract(epoch from new.finished_at) * 1000)::bigint);
  end if;
  insert into app_webhook_deliveries (id, org_id, webhook_id, event, facts)
    select gen_random_uuid(), w.org_id, w.id, happened, facts from app_webhooks w
    where w.org_id = new.org_id and w.app_id = new.app_id and w.enabled and happened = any (w.events);
  return null;
end $$;
create trigger builds_webhooks after insert on builds for each row execute function note_webhook_event();
create trigger deployments_webhooks after insert on deployments for each row execute function note_webhook_event();
create trigger jobs_webhooks after insert on jobs for each row execute function note_webhook_event();
create trigger jobs_webhooks_finished after update of status on jobs
  for each row when (old.finished_at is null and new.finished_at is not null) execute function note_webhook_event();
