-- An identity provider (OpenID Connect) that an organization trusts for its own people, and for nothing else.
create table identity_providers (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  name text not null check (length(name) between 1 and 100),
  issuer text not null check (length(issuer) <= 500),
  client_id text not null check (length(client_id) between 1 and 500),
  -- Sealed under a key derived from the token pepper; null: a public client.
  sealed_secret bytea,
  -- Whoever signs in for the first time joins with this role; null: nobody joins by signing in.
  join_role text check (join_role in ('none', 'viewer', 'member', 'billing')),
  created_at timestamptz not null default now(),
  unique (org_id, id)
);

-- Who somebody of the organization is at an issuer. Addresses and names are not: an issuer may say any. It stays when the
-- membership ends, so that nobody comes back as somebody new.
create table user_identities (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  user_id uuid not null references users (id) on delete cascade,
  issuer text not null check (length(issuer) <= 500),
  subject text not null check (length(subject) between 1 and 500),
  created_at timestamptz not null default now()
);
create unique index user_identities_issuer_subject_unique on user_identities (org_id, issuer, subject);
create index user_identities_user_id on user_identities (user_id);

-- A sign-in that is under way at a provider: ended by its answer, whatever that is.
create table sign_in_flows (
  id uuid primary key,
  state_hash text not null,
  -- Of the browser that began it.
  browser_hash text not null,
  provider_id uuid not null references identity_providers (id) on delete cascade,
  -- Nonce and code verifier.
  sealed_secrets bytea not null,
  -- The code of a command line that waits, to go on with.
  user_code text not null default '' check (length(user_code) <= 40),
  -- The person who links the identity; null: a sign-in.
  user_id uuid references users (id) on delete cascade,
  expires_at timestamptz not null,
  created_at timestamptz not null default now()
);
create unique index sign_in_flows_state_hash_unique on sign_in_flows (state_hash);
create index sign_in_flows_expires_at on sign_in_flows (expires_at);
create index sign_in_flows_provider_id on sign_in_flows (provider_id);

-- Somebody whom a provider brought in has the address that the provider says. It is nobody's key: it neither keeps others
-- from having it nor is anybody found by it.
alter table users add column federated boolean not null default false;
drop index users_email_unique;
create unique index users_email_unique on users (lower(email)) where not federated;
drop policy users_lookup on users;
create policy users_lookup on users for select using (lower(email) = app_lookup() and not federated);

-- What an organization's provider vouched for counts in that organization only.
alter table sessions add column only_org_id uuid references organizations (id) on delete cascade;
alter table device_codes add column only_org_id uuid references organizations (id) on delete cascade;
create index sessions_only_org_id on sessions (only_org_id) where only_org_id is not null;
create index device_codes_only_org_id on device_codes (only_org_id) where only_org_id is not null;

-- The organization ends what counts in it alone.
create policy sessions_only_org on sessions using (only_org_id = app_org()) with check (only_org_id = app_org());

alter table identity_providers enable row level security;
alter table identity_providers force row level security;
create policy identity_providers_org on identity_providers using (org_id = app_org()) with check (org_id = app_org());
create policy identity_providers_lookup on identity_providers for select using (id::text = app_lookup());
create trigger identity_providers_organization before insert on identity_providers
  for each row execute function refuse_ended_organization();
alter table user_identities enable row level security;
alter table user_identities force row level security;
create policy user_identities_org on user_identities using (org_id = app_org()) with check (org_id = app_org());
alter table sign_in_flows enable row level security;
alter table sign_in_flows force row level security;
create policy sign_in_flows_lookup on sign_in_flows using (state_hash = app_lookup()) with check (state_hash = app_lookup());
create policy sign_in_flows_control on sign_in_flows to capstan_control using (true);

grant select, insert, delete on identity_providers, sign_in_flows to capstan_api;
grant select, insert on user_identities to capstan_api;
grant select (expires_at), delete on sign_in_flows to capstan_control;
