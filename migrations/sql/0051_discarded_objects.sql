-- What the object store may still hold of rows that are gone: written with their removal, so that a store that fails, or a
-- process that dies in between, leaves nothing for ever.
create table discarded_objects (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  -- One object; everything below it where it ends in a slash.
  key text not null,
  created_at timestamptz not null default now()
);
alter table discarded_objects enable row level security;
alter table discarded_objects force row level security;
create policy discarded_objects_org on discarded_objects using (org_id = app_org()) with check (org_id = app_org());
create policy discarded_objects_control on discarded_objects for select to capstan_control using (true);
grant insert on discarded_objects to capstan_api;
grant select, insert, delete on discarded_objects to capstan_control;
