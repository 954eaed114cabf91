-- What a package manager downloaded for one build, kept for the next with the same lockfile. `key` is the API's own hash of
-- organization, app, tier, branch, package manager, lockfile and image. A row becomes `ready` when the build that stored it
-- succeeds, and is gone when it does not.
create table dependency_caches (
  id uuid primary key,
  org_id uuid not null,
  app_id uuid not null,
  build_id uuid not null,
  attempt int not null,
  key text not null check (key ~ '^[0-9a-f]{64}$'),
  tier text not null check (tier in ('members', 'release')),
  branch text not null,
  package_manager text not null check (package_manager in ('npm', 'pnpm', 'yarn', 'yarn-berry', 'bun')),
  status text not null default 'pending' check (status in ('pending', 'stored', 'ready')),
  size_bytes bigint not null check (size_bytes > 0),
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  object_key text not null,
  last_used_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  unique (org_id, id),
  foreign key (org_id, app_id) references apps (org_id, id) on delete cascade
);
create unique index dependency_caches_app_key_unique on dependency_caches (app_id, key) where status = 'ready';
create index dependency_caches_build on dependency_caches (build_id);
create index dependency_caches_used on dependency_caches (last_used_at);

alter table dependency_caches enable row level security;
alter table dependency_caches force row level security;
create policy dependency_caches_org on dependency_caches using (org_id = app_org()) with check (org_id = app_org());
create policy dependency_caches_control on dependency_caches for select to capstan_control using (true);
grant select, insert, update, delete on dependency_caches to capstan_api;
grant select, update, delete on dependency_caches to capstan_control;

-- What the cache did for a build and what it took: the figures by which a cache that costs more than it saves is left out.
alter table jobs add column cache jsonb;
create index jobs_cache on jobs (app_id, id) where cache is not null;

-- Whether signed builds of the app use a cache that only signed builds write.
alter table apps add column release_cache boolean not null default false;
