-- How far the chain is covered by a signed checkpoint: what lies between the two numbers is due.
alter table audit_heads add column checkpoint_size bigint not null default 0 check (checkpoint_size >= 0);
create index audit_heads_due on audit_heads (org_id) where seq > checkpoint_size;
create policy audit_heads_due on audit_heads for select to capstan_broker using (seq > checkpoint_size);

create table audit_checkpoints (
  org_id uuid not null references organizations (id) on delete cascade,
  size bigint not null check (size > 0),
  -- The signed note exactly as it is published.
  note text not null,
  published_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (org_id, size)
);
create index audit_checkpoints_unpublished on audit_checkpoints (created_at) where published_at is null;

-- Hashes of the complete subtrees of 256 events, so that a proof reads a few hundred rows, not the whole chain.
create table audit_tiles (
  org_id uuid not null references organizations (id) on delete cascade,
  tile bigint not null check (tile >= 0),
  hash bytea not null check (octet_length(hash) = 32),
  primary key (org_id, tile)
);

create function refuse_note_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and (new.org_id, new.size, new.note, new.created_at) = (old.org_id, old.size, old.note, old.created_at) then
    return new;
  end if;
  raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger audit_checkpoints_append_only before update or delete on audit_checkpoints
  for each row execute function refuse_note_change();
create trigger audit_checkpoints_no_truncate before truncate on audit_checkpoints
  for each statement execute function refuse_change();

do $$
declare name text;
begin
  foreach name in array array['audit_checkpoints', 'audit_tiles'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', name || '_org', name);
  end loop;
end $$;
create policy audit_checkpoints_due on audit_checkpoints for select to capstan_control using (published_at is null);

grant select on audit_checkpoints, audit_tiles to capstan_api, capstan_control, capstan_broker;
grant insert on audit_checkpoints, audit_tiles to capstan_broker;
grant update (published_at) on audit_checkpoints to capstan_control;
