-- People of the operator: set up like workers, members of no organization.
create table operators (
  id uuid primary key,
  name text not null check (length(name) between 1 and 200),
  token_hash text not null,
  last_seen_at timestamptz,
  revoked_at timestamptz,
  created_at timestamptz not null default now()
);
create unique index operators_token_hash_unique on operators (token_hash);
alter table operators enable row level security;
alter table operators force row level security;
create policy operators_lookup on operators using (token_hash = app_lookup()) with check (token_hash = app_lookup());
grant select, insert, update on operators to capstan_api;

-- What an operator may read of one organization, for how long, and who of the organization allowed it.
create table support_grants (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  operator_id uuid not null,
  operator_name text not null,
  scope text not null check (scope in ('logs', 'source', 'builds')),
  case_reference text not null check (length(case_reference) between 1 and 200),
  reason text not null check (length(reason) between 1 and 2000),
  hours integer not null check (hours between 1 and 24),
  status text not null default 'requested' check (status in ('requested', 'approved', 'declined', 'revoked')),
  decided_by uuid references users (id) on delete set null,
  approved_at timestamptz,
  expires_at timestamptz,
  ended_at timestamptz,
  created_at timestamptz not null default now(),
  -- Nothing is read that nobody approved, and no approval lasts longer than was asked for.
  check ((approved_at is null) = (expires_at is null)),
  check (status <> 'approved' or approved_at is not null),
  check (expires_at <= approved_at + make_interval(hours => hours)),
  unique (org_id, id)
);
create index support_grants_org_created_at on support_grants (org_id, created_at);
alter table support_grants enable row level security;
alter table support_grants force row level security;
create policy support_grants_org on support_grants using (org_id = app_org()) with check (org_id = app_org());
create policy support_grants_lookup on support_grants for select using (id::text = app_lookup());
grant select, insert, update on support_grants to capstan_api;
