-- Who links an identity does so in a session, and not after it ended. Links under way began without naming theirs. Unforced
-- for a moment: an owner that is no superuser would see no rows.
alter table sign_in_flows no force row level security;
delete from sign_in_flows where user_id is not null;
alter table sign_in_flows force row level security;
alter table sign_in_flows
  add column session_id uuid references sessions (id) on delete cascade,
  add constraint sign_in_flows_link check ((user_id is null) = (session_id is null));
create index sign_in_flows_session_id on sign_in_flows (session_id) where session_id is not null;

-- What was confirmed and not fetched yet ends with the sessions of the person, and with the provider of the organization.
create policy device_codes_own on device_codes using (user_id = app_user()) with check (user_id = app_user());
create policy device_codes_only_org on device_codes using (only_org_id = app_org()) with check (only_org_id = app_org());
create index device_codes_user_id on device_codes (user_id) where user_id is not null;

-- Postgres locks a row only for who may update something of it: a sign-in holds its provider until the session is there.
grant update (name) on identity_providers to capstan_api;
