-- Suspended by an access review: counts as if it were not there until somebody gives it anew.
alter table memberships
  add column suspended_at timestamptz,
  add column last_used_at timestamptz;
-- Lets a grant refer to a channel together with its app.
alter table channels add constraint channels_org_app_id_unique unique (org_id, app_id, id);

create table teams (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  name text not null check (length(name) between 1 and 100),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  constraint teams_org_name_unique unique (org_id, name)
);

create table team_members (
  org_id uuid not null,
  team_id uuid not null,
  user_id uuid not null,
  suspended_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (team_id, user_id),
  foreign key (org_id, team_id) references teams (org_id, id) on delete cascade,
  foreign key (org_id, user_id) references memberships (org_id, user_id) on delete cascade
);
create index team_members_org_user on team_members (org_id, user_id);

-- A role of one person or one team in one app or one of its channels; a team's may also reach the whole organization.
create table role_grants (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  user_id uuid,
  team_id uuid,
  role text not null check (role in ('admin', 'member', 'viewer')),
  app_id uuid,
  channel_id uuid,
  suspended_at timestamptz,
  last_used_at timestamptz,
  created_by uuid references users (id) on delete set null,
  created_at timestamptz not null default now(),
  unique (org_id, id),
  constraint role_grants_place_unique unique nulls not distinct (org_id, user_id, team_id, app_id, channel_id),
  check (num_nonnulls(user_id, team_id) = 1),
  check (channel_id is null or app_id is not null),
  check (user_id is null or app_id is not null),
  -- An administrator of more than one app is so by the role in the organization, which is looked after more closely.
  check (role <> 'admin' or (app_id is not null and channel_id is null)),
  foreign key (org_id, user_id) references memberships (org_id, user_id) on delete cascade,
  foreign key (org_id, team_id) references teams (org_id, id) on delete cascade,
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, app_id, channel_id) references channels (org_id, app_id, id) on delete cascade
);
create index role_grants_team on role_grants (org_id, team_id);
create index role_grants_app on role_grants (org_id, app_id);
create index role_grants_channel on role_grants (org_id, app_id, channel_id) where channel_id is not null;

do $$
declare name text;
begin
  foreach name in array array['teams', 'team_members', 'role_grants'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', name || '_org', name);
  end loop;
end $$;
grant select, insert, update, delete on teams, team_members, role_grants to capstan_api;
