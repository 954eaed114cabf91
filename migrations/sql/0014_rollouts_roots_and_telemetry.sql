-- Root statements of an app, oldest first from version 2: the keys compiled into the app are version 1.
create table app_roots (
  org_id uuid not null,
  app_id uuid not null,
  version int not null check (version between 2 and 1000000),
  envelope jsonb not null,
  sha256 text not null,
  created_by uuid,
  created_at timestamptz not null default now(),
  primary key (app_id, version),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade
);

-- A deployment that starts at a time and widens in steps. The deployment itself is made when it starts, so the newest
-- deployment of a channel stays the current one.
create table rollouts (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  app_channel_id uuid not null,
  app_build_id uuid not null,
  bundle_id uuid not null,
  status text not null default 'scheduled'
    check (status in ('scheduled', 'running', 'paused', 'halted', 'completed', 'aborted', 'superseded', 'failed')),
  starts_at timestamptz not null,
  steps jsonb not null,
  step int not null default 0 check (step >= 0),
  step_started_at timestamptz,
  halt_rule jsonb not null,
  baseline jsonb not null,
  deployment_id uuid,
  control_deployment_id uuid,
  reason text,
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  looked_at timestamptz,
  ended_at timestamptz,
  unique (org_id, id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, app_channel_id) references channels (org_id, id) on delete cascade,
  foreign key (org_id, app_build_id) references builds (org_id, id) on delete cascade,
  foreign key (org_id, bundle_id) references bundles (org_id, id) on delete cascade,
  foreign key (org_id, deployment_id) references deployments (org_id, id) on delete cascade,
  foreign key (org_id, control_deployment_id) references deployments (org_id, id)
    on delete set null (control_deployment_id)
);
create index rollouts_app on rollouts (app_id, id desc);
create index rollouts_deployment on rollouts (deployment_id);
create index rollouts_due on rollouts (looked_at nulls first)
  where status in ('scheduled', 'running', 'paused', 'halted');
create unique index rollouts_channel_started_unique on rollouts (app_channel_id)
  where status in ('running', 'paused', 'halted') and deployment_id is not null;

-- Why a rollout is where it is: what was counted, what was computed from it, what was decided.
create table rollout_decisions (
  id uuid primary key,
  org_id uuid not null,
  rollout_id uuid not null,
  step int not null,
  decision text not null,
  evidence jsonb not null,
  reason text not null,
  decided_by uuid,
  created_at timestamptz not null default now(),
  foreign key (org_id, rollout_id) references rollouts (org_id, id) on delete cascade
);
create index rollout_decisions_rollout on rollout_decisions (rollout_id, id);

-- What a device of our SDK signs its reports in with: given out once for a device, to whoever comes first.
create table device_tokens (
  org_id uuid not null,
  app_id uuid not null,
  device_id text not null check (length(device_id) between 1 and 128),
  token_hash text not null,
  created_at timestamptz not null default now(),
  last_used_at timestamptz not null default now(),
  primary key (app_id, device_id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade
);
create unique index device_tokens_token_hash_unique on device_tokens (token_hash);
create index device_tokens_org_last_used on device_tokens (org_id, last_used_at);

-- The first launch of a bundle on a device: it counts once.
create table launch_results (
  org_id uuid not null,
  app_id uuid not null,
  bundle_id uuid not null,
  device_id text not null check (length(device_id) between 1 and 128),
  deployment_id uuid not null,
  outcome text not null check (outcome in ('confirmed', 'failed', 'blocked')),
  created_at timestamptz not null default now(),
  primary key (bundle_id, device_id),
  foreign key (org_id, bundle_id) references bundles (org_id, id) on delete cascade,
  foreign key (org_id, deployment_id) references deployments (org_id, id) on delete cascade
);
create index launch_results_deployment on launch_results (deployment_id);
create index launch_results_org_created on launch_results (org_id, created_at);

-- Launches of a deployment by the hour. Several rows for one hour, so that reports do not queue for one row.
create table launch_counts (
  org_id uuid not null,
  app_id uuid not null,
  deployment_id uuid not null,
  bucket timestamptz not null,
  shard smallint not null,
  confirmed int not null default 0,
  failed int not null default 0,
  blocked int not null default 0,
  primary key (deployment_id, bucket, shard),
  foreign key (org_id, deployment_id) references deployments (org_id, id) on delete cascade
);
create index launch_counts_org_bucket on launch_counts (org_id, bucket);

-- What the devices of an app ran, by the hour: how many were active, which bundles and native versions they had.
create table app_activity (
  org_id uuid not null,
  app_id uuid not null,
  bucket timestamptz not null,
  active_day int not null,
  active_week int not null,
  active_month int not null,
  bundles jsonb not null,
  versions jsonb not null,
  primary key (app_id, bucket),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade
);
create index app_activity_org_bucket on app_activity (org_id, bucket);

do $$
declare t text;
begin
  foreach t in array array['app_roots', 'rollouts', 'rollout_decisions', 'device_tokens', 'launch_results',
                           'launch_counts', 'app_activity'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', t || '_org', t);
  end loop;
end $$;
create policy device_tokens_lookup on device_tokens for select using (token_hash = app_lookup());

-- The control process finds what is due in every organization, then acts inside `withOrg`.
create policy rollouts_control on rollouts for select to capstan_control using (true);
create policy apps_control on apps for select to capstan_control using (true);

grant select, insert on app_roots, rollout_decisions to capstan_api;
grant select, insert, update, delete on rollouts, device_tokens, launch_results, launch_counts to capstan_api;
grant select on app_activity to capstan_api;

grant select, update on rollouts to capstan_control;
grant select, insert on rollout_decisions, app_activity to capstan_control;
grant update, delete on app_activity to capstan_control;
grant select, delete on device_tokens, launch_results, launch_counts to capstan_control;
grant select on apps, app_public_keys, app_roots, bundles, bundle_files, channels, deployments, devices
  to capstan_control;
grant insert on deployments to capstan_control;
grant update on deployments, channels to capstan_control;
