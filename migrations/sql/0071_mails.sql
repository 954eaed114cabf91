-- Mails that wait to be sent, left in the transaction of what they tell of. Address and text are sealed under a key that
-- the database does not hold, because they bear codes and personal values; they are gone once it is sent or given up.
create table mails (
  id uuid primary key,
  -- Whose account it is about; with the account it goes.
  user_id uuid references users (id) on delete cascade,
  kind text not null check (length(kind) <= 100),
  sealed bytea,
  status text not null default 'pending' check (status in ('pending', 'sent', 'failed')),
  attempts int not null default 0 check (attempts >= 0),
  next_attempt_at timestamptz not null default now(),
  -- Nobody is told later than that.
  expires_at timestamptz not null,
  last_failure text check (length(last_failure) <= 500),
  settled_at timestamptz,
  created_at timestamptz not null default now(),
  check ((sealed is null) = (status <> 'pending')),
  check ((settled_at is null) = (status = 'pending'))
);
create index mails_due on mails (next_attempt_at) where status = 'pending';
create index mails_settled on mails (settled_at) where settled_at is not null;
create index mails_user on mails (user_id) where user_id is not null;

alter table mails enable row level security;
alter table mails force row level security;
create policy mails_write on mails for insert to capstan_api, capstan_control with check (true);
create policy mails_control on mails to capstan_control using (true) with check (true);
grant insert on mails to capstan_api;
grant select, insert, delete on mails to capstan_control;
grant update (sealed, status, attempts, next_attempt_at, last_failure, settled_at) on mails to capstan_control;
-- Whom a notice goes to: administrators, in the door of their organization.
grant select (id, email) on users to capstan_control;

-- Lets whoever holds the code set a new password, once.
create table password_resets (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  token_hash text not null unique,
  expires_at timestamptz not null,
  created_at timestamptz not null default now()
);
create index password_resets_user on password_resets (user_id);
create index password_resets_expires_at on password_resets (expires_at);

alter table password_resets enable row level security;
alter table password_resets force row level security;
create policy password_resets_own on password_resets using (user_id = app_user()) with check (user_id = app_user());
create policy password_resets_lookup on password_resets for select using (token_hash = app_lookup());
create policy password_resets_control on password_resets to capstan_control using (expires_at < now());
grant select, insert, delete on password_resets to capstan_api;
grant select (expires_at), delete on password_resets to capstan_control;
