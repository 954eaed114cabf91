create table environments (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  name_lower text not null,
  created_by uuid,
  updated_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  unique (app_id, name_lower),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade
);

create table environment_variables (
  id uuid primary key,
  org_id uuid not null,
  environment_id uuid not null,
  key text not null,
  value text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (environment_id, key),
  foreign key (org_id, environment_id) references environments (org_id, id) on delete cascade
);

create table native_configurations (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  name_lower text not null,
  display_name text,
  package_name text,
  created_by uuid,
  updated_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  unique (app_id, name_lower),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade
);

-- How a git host is reached: `auth_kind` says what its sealed value holds.
create table git_connections (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  name text not null check (length(name) between 1 and 200),
  name_lower text not null,
  provider text not null,
  host text not null,
  auth_kind text not null check (auth_kind in ('none', 'basic', 'ssh')),
  created_by uuid,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  unique (org_id, name_lower)
);

create table app_repositories (
  app_id uuid primary key,
  org_id uuid not null,
  git_connection_id uuid,
  provider text not null,
  path text not null,
  url text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, git_connection_id) references git_connections (org_id, id)
    on delete set null (git_connection_id)
);

alter table build_sources drop constraint build_sources_type_check;
alter table build_sources add check (type in ('archive', 'git', 'url'));
alter table build_sources add column remote_url text;
alter table build_sources add column git_ref text;
alter table build_sources add column git_connection_id uuid;
alter table build_sources add check ((type = 'archive') = (remote_url is null));
alter table build_sources add check ((type = 'git') = (git_ref is not null));
alter table build_sources add foreign key (org_id, git_connection_id) references git_connections (org_id, id)
  on delete set null (git_connection_id);

-- `native`: what the native project is called, as it was when the build was requested.
alter table builds add column environment_id uuid;
alter table builds add column configuration_id uuid;
alter table builds add column native jsonb not null default '{}';
alter table builds add column use_cache boolean not null default true;
alter table builds add column timeout_minutes int not null default 60 check (timeout_minutes between 1 and 240);
alter table builds add foreign key (org_id, environment_id) references environments (org_id, id)
  on delete set null (environment_id);
alter table builds add foreign key (org_id, configuration_id) references native_configurations (org_id, id)
  on delete set null (configuration_id);

-- Hosts that builds of the app may reach beside those that the worker allows to all.
alter table apps add column egress_hosts text[] not null default '{}';
-- The environment of builds that name none.
alter table apps add column app_environment_id uuid;
alter table apps add foreign key (org_id, app_environment_id) references environments (org_id, id)
  on delete set null (app_environment_id);

-- Secrets that are no signing keys: of an environment, of one build, of a git connection. Only the broker opens them.
create table sealed_values (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  app_id uuid,
  environment_id uuid,
  build_id uuid,
  git_connection_id uuid,
  name text not null,
  envelope bytea not null,
  kek_id text not null,
  kek_version int not null,
  created_by uuid,
  created_at timestamptz not null default now(),
  unique (org_id, id),
  unique (environment_id, name),
  unique (build_id, name),
  unique (git_connection_id, name),
  check (num_nonnulls(environment_id, build_id, git_connection_id) = 1),
  check ((app_id is null) = (git_connection_id is not null)),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, environment_id) references environments (org_id, id) on delete cascade,
  foreign key (org_id, build_id) references builds (org_id, id) on delete cascade,
  foreign key (org_id, git_connection_id) references git_connections (org_id, id) on delete cascade
);

-- Each purpose once for a lease.
create table secret_opens (
  org_id uuid not null,
  lease_id uuid not null,
  purpose text not null check (purpose in ('variables', 'source')),
  opened_at timestamptz not null default now(),
  primary key (lease_id, purpose),
  foreign key (org_id, lease_id) references leases (org_id, id) on delete cascade
);

-- `due_at` is the place in the line: when a build was requested, moved by its priority. So whoever waits long enough
-- comes before any priority that arrives later.
alter table jobs add column due_at timestamptz not null default now();
alter table jobs add column pool text not null default 'standard' check (pool in ('standard', 'macos'));
create index jobs_waiting on jobs (pool, org_id, due_at) where status = 'queued';
create index jobs_active on jobs (pool, org_id) where status in ('pending', 'in_progress');

-- Null: what the operator has set for all.
alter table organizations add column max_concurrent_builds int check (max_concurrent_builds between 1 and 1000);

alter table workers add column slots int not null default 1 check (slots between 1 and 1000);
alter table workers add column reported_at timestamptz;

do $$
declare t text;
begin
  foreach t in array array['environments', 'environment_variables', 'native_configurations', 'git_connections',
                           'app_repositories', 'sealed_values', 'secret_opens'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', t || '_org', t);
  end loop;
end $$;
-- Which workers there are that can do something: for a build that only some of them can do.
create policy workers_capable on workers for select to capstan_api
  using (app_lookup() like 'capability:%' and substr(app_lookup(), 12) = any (capabilities));
create policy workers_control on workers for select to capstan_control using (true);
create policy organizations_control on organizations for select to capstan_control using (true);

grant select, insert, update, delete on environments, environment_variables, native_configurations, git_connections,
  app_repositories, sealed_values to capstan_api;
grant select (id, slots, capabilities, reported_at, revoked_at) on workers to capstan_control;
grant select on environments, git_connections, build_sources, sealed_values to capstan_broker;
grant update (envelope, kek_id, kek_version) on sealed_values to capstan_broker;
grant select, insert on secret_opens to capstan_broker;
