create table access_reviews (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  due_at timestamptz not null,
  created_by uuid references users (id) on delete set null,
  -- When the control process suspended what nobody had attested.
  closed_at timestamptz,
  created_at timestamptz not null default now(),
  unique (org_id, id)
);
create unique index access_reviews_open_unique on access_reviews (org_id) where closed_at is null;
create index access_reviews_due on access_reviews (due_at) where closed_at is null;

-- What was there to be reviewed, as it was then: what is taken back since is still on record. Ids of what may be gone.
create table access_review_items (
  id uuid primary key,
  org_id uuid not null,
  review_id uuid not null,
  kind text not null check (kind in ('membership', 'grant', 'team-member')),
  user_id uuid,
  team_id uuid,
  grant_id uuid,
  role text,
  app_id uuid,
  channel_id uuid,
  last_used_at timestamptz,
  -- Kept: nobody attested the last owner, and there must be one.
  decision text check (decision in ('attested', 'revoked', 'suspended', 'kept')),
  decided_by uuid references users (id) on delete set null,
  decided_at timestamptz,
  check ((decision is null) = (decided_at is null)),
  check (case kind
    when 'grant' then grant_id is not null
    when 'team-member' then team_id is not null and user_id is not null
    else user_id is not null end),
  foreign key (org_id, review_id) references access_reviews (org_id, id) on delete cascade
);
create index access_review_items_review on access_review_items (review_id, id);

do $$
declare name text;
begin
  foreach name in array array['access_reviews', 'access_review_items'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format('create policy %I on %I using (org_id = app_org()) with check (org_id = app_org())', name || '_org', name);
  end loop;
end $$;
create policy access_reviews_due on access_reviews for select to capstan_control using (closed_at is null);
grant select, insert, update on access_reviews, access_review_items to capstan_api;

grant select, update (closed_at) on access_reviews to capstan_control;
grant select, update (decision, decided_at) on access_review_items to capstan_control;
grant select, update (suspended_at) on memberships, role_grants, team_members to capstan_control;
