-- Roles are shared by every database of a server, and test databases migrate at the same time.
do $$
declare role_name text;
begin
  foreach role_name in array array['capstan_api', 'capstan_control', 'capstan_broker'] loop
    begin
      execute format('create role %I nologin nosuperuser nobypassrls nocreatedb nocreaterole', role_name);
    exception when duplicate_object or unique_violation then null;
    end;
  end loop;
end $$;

revoke all on schema public from public;
grant usage on schema public to capstan_api, capstan_control, capstan_broker;

-- The settings that row-level security reads. Each is set for one transaction by a door of @capstan/migrations;
-- without it the answer is null and no row is visible.
create function app_org() returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('app.org_id', true), '')::uuid $$;
create function app_user() returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('app.user_id', true), '')::uuid $$;
-- What a caller already knows (an id, a token's hash): lets it find the organization of exactly that row.
create function app_lookup() returns text language sql stable parallel safe
  as $$ select nullif(current_setting('app.lookup', true), '') $$;

create table organizations (
  id uuid primary key,
  name text not null check (length(name) between 1 and 200),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table users (
  id uuid primary key,
  email text not null,
  name text,
  last_seen_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create unique index users_email_unique on users (lower(email));

create table memberships (
  org_id uuid not null references organizations (id) on delete cascade,
  user_id uuid not null references users (id) on delete cascade,
  role text not null check (role in ('owner', 'admin', 'approver', 'developer', 'viewer')),
  created_at timestamptz not null default now(),
  primary key (org_id, user_id)
);
create index memberships_user_id on memberships (user_id);

create table user_passwords (
  user_id uuid primary key references users (id) on delete cascade,
  hash text not null,
  updated_at timestamptz not null default now()
);

create table sessions (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  token_hash text not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  created_at timestamptz not null default now()
);
create unique index sessions_token_hash_unique on sessions (token_hash);

create table api_tokens (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  user_id uuid not null references users (id) on delete cascade,
  name text not null check (length(name) between 1 and 200),
  token_hash text not null,
  pepper_version int not null default 1,
  last_four text not null,
  expires_at timestamptz not null,
  last_used_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null default now(),
  unique (org_id, id)
);
create unique index api_tokens_token_hash_unique on api_tokens (token_hash);

-- Workers serve every organization; what one may see comes with the lease of a build.
create table workers (
  id uuid primary key,
  name text not null,
  token_hash text not null,
  capabilities text[] not null default '{}',
  last_seen_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null default now()
);
create unique index workers_token_hash_unique on workers (token_hash);

alter table organizations enable row level security;
alter table organizations force row level security;
create policy organizations_org on organizations using (id = app_org()) with check (id = app_org());
create policy organizations_member on organizations for select
  using (exists (select 1 from memberships m where m.org_id = organizations.id and m.user_id = app_user()));

alter table memberships enable row level security;
alter table memberships force row level security;
create policy memberships_org on memberships using (org_id = app_org()) with check (org_id = app_org());
create policy memberships_own on memberships for select using (user_id = app_user());

alter table users enable row level security;
alter table users force row level security;
create policy users_own on users using (id = app_user()) with check (id = app_user());
create policy users_colleague on users for select
  using (exists (select 1 from memberships m where m.user_id = users.id and m.org_id = app_org()));
create policy users_lookup on users for select using (lower(email) = app_lookup());

alter table user_passwords enable row level security;
alter table user_passwords force row level security;
create policy user_passwords_own on user_passwords using (user_id = app_user()) with check (user_id = app_user());

alter table sessions enable row level security;
alter table sessions force row level security;
create policy sessions_own on sessions using (user_id = app_user()) with check (user_id = app_user());
create policy sessions_lookup on sessions for select using (token_hash = app_lookup());

alter table api_tokens enable row level security;
alter table api_tokens force row level security;
create policy api_tokens_org on api_tokens using (org_id = app_org()) with check (org_id = app_org());
create policy api_tokens_lookup on api_tokens for select using (token_hash = app_lookup());

alter table workers enable row level security;
alter table workers force row level security;
create policy workers_lookup on workers using (token_hash = app_lookup()) with check (token_hash = app_lookup());

grant select, insert, update, delete on organizations, memberships, users, user_passwords, sessions, api_tokens
  to capstan_api;
grant select, insert, update on workers to capstan_api;
