-- What people wrote, and what may tell who somebody is, beside the chain: the event holds SHA-256 over a salt and the
-- value, so that a value can go without the chain breaking. The salt goes with it: what is left cannot be guessed.
-- Not named audit_…: it goes with the organization, the chain stays.
create table personal_values (
  org_id uuid not null references organizations (id) on delete cascade,
  seq bigint not null,
  name text not null,
  salt bytea not null check (octet_length(salt) = 32),
  value text not null,
  primary key (org_id, seq, name),
  foreign key (org_id, seq) references audit_events (org_id, seq)
);

create trigger personal_values_no_change before update on personal_values
  for each row execute function refuse_change();
create trigger personal_values_no_truncate before truncate on personal_values
  for each statement execute function refuse_change();

-- Nothing is erased unless the same transaction says so in the chain, or the whole organization goes.
create function refuse_silent_erasure() returns trigger language plpgsql as $$
begin
  if not exists (select 1 from audit_events
                 where org_id = old.org_id and action = 'audit.values_erased' and xmin = pg_current_xact_id()::xid)
    and not exists (select 1 from organizations where id = old.org_id and terminating_at is not null) then
    raise exception 'values of the audit log are erased only beside an event that says so'
      using errcode = 'insufficient_privilege';
  end if;
  return null;
end $$;
create constraint trigger personal_values_erased after delete on personal_values
  deferrable initially deferred for each row execute function refuse_silent_erasure();

alter table personal_values enable row level security;
alter table personal_values force row level security;
create policy personal_values_org on personal_values using (org_id = app_org()) with check (org_id = app_org());

grant select, insert, delete on personal_values to capstan_api;
grant insert on personal_values to capstan_control, capstan_broker;
