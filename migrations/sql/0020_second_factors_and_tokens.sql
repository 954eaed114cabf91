-- How a session was opened and how far it proved who it is.
alter table sessions
  add column client text not null default 'api' check (client in ('api', 'cli', 'page')),
  add column user_agent text not null default '' check (length(user_agent) <= 200),
  add column two_factor boolean not null default false,
  add column second_factor_at timestamptz,
  add column last_seen_at timestamptz;
create index sessions_user_id on sessions (user_id, id);
create index sessions_expires_at on sessions (expires_at);

-- Sealed under a key derived from the token pepper. `last_step` is the newest time step that was used: no code works twice.
create table user_totp (
  user_id uuid primary key references users (id) on delete cascade,
  sealed_secret bytea not null,
  confirmed_at timestamptz,
  last_step bigint not null default 0,
  created_at timestamptz not null default now()
);

create table recovery_codes (
  user_id uuid not null references users (id) on delete cascade,
  code_hash text not null,
  used_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (user_id, code_hash)
);

create table passkeys (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  credential_id text not null,
  public_key bytea not null,
  counter bigint not null,
  transports text[] not null default '{}',
  name text not null check (length(name) between 1 and 100),
  last_used_at timestamptz,
  created_at timestamptz not null default now()
);
create unique index passkeys_credential_id_unique on passkeys (credential_id);
create index passkeys_user_id on passkeys (user_id);

-- What may be presented once only (challenges, ids of foreign tokens), as hashes, until it would be refused as expired anyway.
create table spent_values (
  hash text primary key,
  expires_at timestamptz not null
);
create index spent_values_expires_at on spent_values (expires_at);

-- A sign-in of the command line that waits for a person in a browser.
create table device_codes (
  id uuid primary key,
  device_hash text not null,
  user_code_hash text not null,
  user_agent text not null default '' check (length(user_agent) <= 200),
  state text not null default 'pending' check (state in ('pending', 'approved', 'denied', 'spent')),
  user_id uuid references users (id) on delete cascade,
  two_factor boolean not null default false,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  check (state in ('pending', 'denied') or user_id is not null)
);
create unique index device_codes_device_hash_unique on device_codes (device_hash);
create unique index device_codes_user_code_hash_unique on device_codes (user_code_hash);
create index device_codes_expires_at on device_codes (expires_at);

alter table organizations
  add column two_factor_required boolean not null default false,
  add column step_up_required boolean not null default false,
  add column ip_allowlist text[] check (cardinality(ip_allowlist) between 1 and 200);

-- `scopes` null: all that the role of its owner has. A service token stands for itself and always names them.
alter table api_tokens
  add column kind text not null default 'personal' check (kind in ('personal', 'service')),
  add column scopes text[],
  add column cidrs text[] check (cardinality(cidrs) between 1 and 50),
  add column replaces_id uuid,
  add column rotated_by uuid references users (id) on delete set null,
  add constraint api_tokens_service_scopes check (kind = 'personal' or scopes is not null);

alter table memberships drop constraint memberships_role_check;
alter table memberships add constraint memberships_role_check
  check (role in ('owner', 'admin', 'approver', 'billing', 'developer', 'viewer'));

alter table user_totp enable row level security;
alter table user_totp force row level security;
create policy user_totp_own on user_totp using (user_id = app_user()) with check (user_id = app_user());
alter table recovery_codes enable row level security;
alter table recovery_codes force row level security;
create policy recovery_codes_own on recovery_codes using (user_id = app_user()) with check (user_id = app_user());
alter table passkeys enable row level security;
alter table passkeys force row level security;
create policy passkeys_own on passkeys using (user_id = app_user()) with check (user_id = app_user());
create policy passkeys_lookup on passkeys for select using (credential_id = app_lookup());
alter table spent_values enable row level security;
alter table spent_values force row level security;
create policy spent_values_lookup on spent_values using (hash = app_lookup()) with check (hash = app_lookup());
create policy spent_values_control on spent_values to capstan_control using (true);
alter table device_codes enable row level security;
alter table device_codes force row level security;
create policy device_codes_lookup on device_codes
  using (app_lookup() in (device_hash, user_code_hash)) with check (app_lookup() in (device_hash, user_code_hash));
create policy device_codes_control on device_codes to capstan_control using (true);
create policy sessions_control on sessions to capstan_control using (true);

grant select, insert, update, delete on user_totp, recovery_codes, passkeys to capstan_api;
grant select, insert on spent_values to capstan_api;
grant select, insert, update on device_codes to capstan_api;
-- Control removes what has expired and can read nothing else of it.
grant select (expires_at), delete on spent_values, device_codes, sessions to capstan_control;
