-- Lets the person who asked, signed in, and whoever holds the code that was mailed to it, in one, take this address.
create table email_changes (
  id uuid primary key,
  user_id uuid not null references users (id) on delete cascade,
  email text not null check (length(email) between 3 and 320),
  token_hash text not null unique,
  expires_at timestamptz not null,
  created_at timestamptz not null default now()
);
create unique index email_changes_user_unique on email_changes (user_id);
create index email_changes_expires_at on email_changes (expires_at);

alter table email_changes enable row level security;
alter table email_changes force row level security;
create policy email_changes_own on email_changes using (user_id = app_user()) with check (user_id = app_user());
create policy email_changes_control on email_changes to capstan_control using (expires_at < now());
grant select, insert, delete on email_changes to capstan_api;
grant select (expires_at), delete on email_changes to capstan_control;
