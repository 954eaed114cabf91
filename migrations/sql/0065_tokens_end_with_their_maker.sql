-- A trust policy ends with the membership of its maker: whoever comes back makes a new one. Unforced for a moment: an owner
-- that is no superuser would see no rows.
alter table memberships no force row level security;
alter table trust_policies no force row level security;
delete from trust_policies p
  where not exists (select 1 from memberships m where m.org_id = p.org_id and m.user_id = p.created_by);
alter table trust_policies
  drop constraint trust_policies_created_by_fkey,
  add constraint trust_policies_maker foreign key (org_id, created_by) references memberships (org_id, user_id)
    on delete cascade;
alter table trust_policies force row level security;
alter table memberships force row level security;

-- A token and everything that was made through it.
create function tokens_through(token uuid) returns setof uuid language sql stable as $$
  with recursive through as (
    select token as id
    union
    select t.id from api_tokens t join through on t.created_through = through.id
  )
  select id from through
$$;

-- Tokens whose secret this person may know: was the last to see, or could have made through one of those.
create function tokens_known_to(person uuid) returns setof uuid language sql stable as $$
  with recursive known as (
    select id from api_tokens where coalesce(rotated_by, user_id) = person
    union
    select t.id from api_tokens t join known on t.created_through = known.id
  )
  select id from known
$$;
create index api_tokens_created_through on api_tokens (created_through) where created_through is not null;
grant select (created_through) on api_tokens to capstan_control;

-- Who is behind a token is written once: duties are separated by it.
revoke update on api_tokens from capstan_api;
grant update (last_used_at, revoked_at, expires_at) on api_tokens to capstan_api;
