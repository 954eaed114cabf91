-- What provisioning profiles of the app are compared with.
alter table apps add column ios_bundle_id text check (ios_bundle_id ~ '^[A-Za-z0-9.-]{1,155}$');

-- Terminating: nobody belongs to it, its keys are destroyed, its content is being erased. Terminated: it is erased.
alter table organizations
  add column terminating_at timestamptz,
  add column terminated_at timestamptz,
  add constraint organizations_termination check (terminated_at is null or terminating_at is not null);
create index organizations_terminating on organizations (id) where terminating_at is not null and terminated_at is null;

-- Locked against the termination: who comes in the same instant is before it, and swept away, or refused.
create function refuse_ended_organization() returns trigger language plpgsql as $$
declare ended timestamptz;
begin
  select terminating_at into ended from organizations where id = new.org_id for share;
  if ended is not null then
    raise exception 'organization % is being terminated', new.org_id using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger memberships_organization before insert on memberships
  for each row execute function refuse_ended_organization();
create trigger api_tokens_organization before insert on api_tokens
  for each row execute function refuse_ended_organization();
create trigger apps_organization before insert on apps
  for each row execute function refuse_ended_organization();

-- Erases up to `batch` rows of the organization whose door is open, those that refer to others first; answers how many
-- it erased, 0 when nothing is left. Kept: the organization's own row, its audit chain (tables named audit_…), its
-- deletion certificates, and the notes that its apps changed (ids, by which every API process learns that they are gone).
-- With the owner's rights, so that no process needs the right to delete from every table; it
-- looks at no argument but the number, and refuses an organization whose keys are not certified as destroyed.
create function erase_organization_rows(batch int) returns bigint
  language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
  content regclass;
  erased bigint;
begin
  if not exists (select 1 from public.organizations where id = public.app_org() and terminating_at is not null)
    or not exists (select 1 from public.deletion_certificates
                   where org_id = public.app_org() and subject_kind = 'organization' and subject_id = org_id) then
    raise exception 'the organization is not being terminated' using errcode = 'insufficient_privilege';
  end if;
  for content in
    with recursive contents as (
      select c.oid from pg_class c
      join pg_attribute a on a.attrelid = c.oid and a.attname = 'org_id' and not a.attisdropped
      where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
        and c.relname not like 'audit\_%' and c.relname not in ('deletion_certificates', 'app_changes')
    ), depths (oid, depth) as (
      select oid, 0 from contents
      union
      select f.conrelid, depth + 1 from depths
      join pg_constraint f on f.contype = 'f' and f.confrelid = depths.oid and f.conrelid <> f.confrelid
      join contents on contents.oid = f.conrelid
      where depth < 20
    )
    select oid from depths group by oid order by max(depth) desc, oid
  loop
    execute format(
      'delete from %s where ctid = any (array(select ctid from %s where org_id = public.app_org() limit $1))',
      content, content) using batch;
    get diagnostics erased = row_count;
    if erased > 0 then
      return erased;
    end if;
  end loop;
  return 0;
end $$;
revoke all on function erase_organization_rows (int) from public;
grant execute on function erase_organization_rows (int) to capstan_control;

-- The others have no right to look at memberships.
alter policy organizations_member on organizations to capstan_api;
create policy organizations_terminating on organizations for select to capstan_control
  using (terminating_at is not null);
grant update (name, terminated_at, updated_at) on organizations to capstan_control;

-- Whoever was given the id of a certificate may read it, also when nobody belongs to the organization any more.
create policy deletion_certificates_lookup on deletion_certificates for select using (id::text = app_lookup());
