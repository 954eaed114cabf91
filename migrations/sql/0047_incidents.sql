-- An incident concerns the installation; what of it concerns an organization stands in tables of that organization.
create table incidents (
  id uuid primary key,
  title text not null check (length(title) between 1 and 200),
  classes text[] not null
    check (cardinality(classes) > 0 and classes <@ array['personal_data', 'source', 'build_secret', 'store_credential', 'other']),
  state text not null default 'detect' check (state in ('detect', 'contain', 'remediate', 'review', 'closed')),
  aware_at timestamptz not null,
  -- When it was last computed whom it concerns.
  assessed_at timestamptz,
  created_by uuid not null,
  created_at timestamptz not null default now(),
  closed_at timestamptz,
  check ((state = 'closed') = (closed_at is not null))
);

create table incident_steps (
  id uuid primary key,
  incident_id uuid not null references incidents (id),
  state text not null,
  evidence text not null check (length(evidence) between 1 and 10000),
  operator_id uuid not null,
  created_at timestamptz not null default now()
);
create index incident_steps_incident on incident_steps (incident_id, created_at);
create trigger incident_steps_append_only before update or delete on incident_steps
  for each row execute function refuse_change();

create table incident_organizations (
  org_id uuid not null references organizations (id) on delete cascade,
  incident_id uuid not null references incidents (id),
  events bigint not null check (events >= 0),
  warned_at timestamptz,
  missed_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (org_id, incident_id)
);

create table incident_notices (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  incident_id uuid not null references incidents (id),
  kind text not null check (kind in ('personal_data', 'confidential_material')),
  message text not null check (length(message) between 1 and 20000),
  created_at timestamptz not null default now()
);
create index incident_notices_org_created_at on incident_notices (org_id, created_at);
create index incident_notices_incident on incident_notices (incident_id);

do $$
declare name text;
begin
  foreach name in array array['incidents', 'incident_steps', 'incident_organizations', 'incident_notices'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format($p$create policy %I on %I using (app_view() = 'incidents') with check (app_view() = 'incidents')$p$,
      name || '_view', name);
  end loop;
  foreach name in array array['incident_organizations', 'incident_notices'] loop
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', name || '_org', name);
  end loop;
end $$;
-- Whom an incident concerns is asked of every log.
create policy audit_events_incidents on audit_events for select to capstan_api using (app_view() = 'incidents');

grant select, insert, update on incidents, incident_organizations to capstan_api;
grant select, insert on incident_steps, incident_notices to capstan_api;
grant select on incidents, incident_organizations, incident_notices to capstan_control;
grant update (warned_at, missed_at) on incident_organizations to capstan_control;
