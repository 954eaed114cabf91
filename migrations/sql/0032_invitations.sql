-- Whoever holds the secret may join once; what is over stays a month, then the address is forgotten.
create table invitations (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  email text not null check (length(email) between 3 and 320),
  role text not null check (role in ('admin', 'approver', 'billing', 'member', 'viewer', 'none')),
  token_hash text not null,
  status text not null default 'pending' check (status in ('accepted', 'canceled', 'pending', 'rejected')),
  created_by uuid references users (id) on delete set null,
  accepted_by uuid references users (id) on delete set null,
  expires_at timestamptz not null,
  decided_at timestamptz,
  created_at timestamptz not null default now(),
  check ((status = 'pending') = (decided_at is null))
);
create unique index invitations_token_hash_unique on invitations (token_hash);
create unique index invitations_org_email_unique on invitations (org_id, lower(email)) where status = 'pending';
create index invitations_expires_at on invitations (expires_at);

alter table invitations enable row level security;
alter table invitations force row level security;
create policy invitations_org on invitations using (org_id = app_org()) with check (org_id = app_org());
create policy invitations_lookup on invitations for select using (token_hash = app_lookup());
create policy invitations_control on invitations to capstan_control using (true);
grant select, insert, update on invitations to capstan_api;
-- Control forgets what is over and can read nothing else of it.
grant select (expires_at), delete on invitations to capstan_control;
