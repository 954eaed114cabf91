create table audit_heads (
  org_id uuid primary key references organizations (id) on delete cascade,
  seq bigint not null,
  hash text not null
);

-- `event` is the canonical JSON exactly as it was hashed; the other columns only serve queries.
create table audit_events (
  org_id uuid not null references organizations (id) on delete cascade,
  seq bigint not null check (seq > 0),
  event text not null,
  hash text not null check (hash ~ '^[0-9a-f]{64}$'),
  action text not null,
  created_at timestamptz not null,
  primary key (org_id, seq)
);
create index audit_events_org_action on audit_events (org_id, action, seq);

create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger audit_events_append_only before update or delete on audit_events
  for each row execute function refuse_change();
create trigger audit_events_no_truncate before truncate on audit_events
  for each statement execute function refuse_change();

alter table audit_heads enable row level security;
alter table audit_heads force row level security;
create policy audit_heads_org on audit_heads using (org_id = app_org()) with check (org_id = app_org());
alter table audit_events enable row level security;
alter table audit_events force row level security;
create policy audit_events_org on audit_events using (org_id = app_org()) with check (org_id = app_org());

grant select, insert, update on audit_heads to capstan_api, capstan_control, capstan_broker;
grant select, insert on audit_events to capstan_api, capstan_control, capstan_broker;
grant select on organizations to capstan_broker, capstan_control;
