-- Pairs of manifest bundles of an app between which the official clients would mix files up: they look for a checksum
-- anywhere in the bundle that they run, and then copy what that bundle has at the new path. Content never changes under
-- an id, so a pair is found once, when the later of the two becomes ready.
create table bundle_copy_hazards (
  org_id uuid not null,
  app_id uuid not null,
  from_bundle_id uuid not null,
  to_bundle_id uuid not null,
  -- One of the paths that would come out wrong.
  href text not null,
  primary key (to_bundle_id, from_bundle_id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade,
  foreign key (org_id, from_bundle_id) references bundles (org_id, id) on delete cascade,
  foreign key (org_id, to_bundle_id) references bundles (org_id, id) on delete cascade
);
create index bundle_copy_hazards_from on bundle_copy_hazards (from_bundle_id);
alter table bundle_copy_hazards enable row level security;
alter table bundle_copy_hazards force row level security;
create policy bundle_copy_hazards_org on bundle_copy_hazards using (org_id = app_org()) with check (org_id = app_org());
create policy bundle_copy_hazards_published on bundle_copy_hazards for select to capstan_api
  using (app_view() = 'published');
grant select, insert, delete on bundle_copy_hazards to capstan_api;
create constraint trigger bundle_copy_hazards_changed after insert or delete on bundle_copy_hazards
  deferrable initially deferred for each row execute function note_app_change();

-- The files of a manifest bundle in one zip, for devices that must not copy; made only where there is such a device.
alter table bundles add column zip_object_key text, add column zip_sha256 text, add column zip_size_bytes bigint,
  add check (num_nulls(zip_object_key, zip_sha256, zip_size_bytes) in (0, 3));
create constraint trigger bundles_zipped after update of zip_sha256 on bundles
  deferrable initially deferred for each row execute function note_app_change();

-- The same content compressed with brotli, where that is worth it.
alter table bundle_files add column brotli_object_key text, add column brotli_size_bytes bigint,
  add check (num_nulls(brotli_object_key, brotli_size_bytes) in (0, 2));

insert into bundle_copy_hazards (org_id, app_id, from_bundle_id, to_bundle_id, href)
select t.org_id, t.app_id, f.id, t.id, min(new.href)
from bundles t
join bundles f on f.app_id = t.app_id and f.id <> t.id
join bundle_files new on new.bundle_id = t.id
join bundle_files old on old.bundle_id = f.id and old.href = new.href and old.sha256 <> new.sha256
where t.status = 'ready' and f.status = 'ready' and t.artifact_type = 'manifest' and f.artifact_type = 'manifest'
  and exists (select from bundle_files same where same.bundle_id = f.id and same.sha256 = new.sha256)
group by t.org_id, t.app_id, f.id, t.id;
