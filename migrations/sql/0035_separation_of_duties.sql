-- Off in a new organization. While `sole_operator_until` lies ahead, its one approver may approve what it submitted.
alter table organizations
  add column separation_of_duties boolean not null default false,
  add column sole_operator_since timestamptz,
  add column sole_operator_until timestamptz,
  add column sole_operator_reason text check (length(sole_operator_reason) between 10 and 1000),
  add constraint organizations_sole_operator check (
    (sole_operator_since is null) = (sole_operator_until is null)
    and (sole_operator_since is null) = (sole_operator_reason is null)
    and sole_operator_until <= sole_operator_since + interval '90 days');

-- The token through which a token was made: whoever knows that one may know this one.
alter table api_tokens add column created_through uuid;

-- The approved plan of a rollout.
alter table rollouts add column change_request_id uuid;

-- `content` is the canonical JSON of the exact intended effect, as it was hashed; it never changes.
create table change_requests (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  app_id uuid,
  action text not null,
  subject jsonb not null,
  -- What a reading looks at: `<kind>/<id>`, known once it was executed; the newest of an entity is the one that counts.
  entity text,
  content text not null,
  content_hash text not null,
  submitted_by uuid not null,
  submitted_via text not null,
  submitted_via_id uuid,
  submitter_roots uuid[] not null check (cardinality(submitter_roots) between 1 and 100),
  state text not null default 'submitted' check (state in ('submitted', 'approved', 'executing', 'executed', 'attested',
    'reconciled', 'closed', 'rejected', 'canceled', 'voided')),
  -- Approved by its submitter, in an organization with one approver.
  exception boolean not null default false,
  -- Done at once and approved afterwards: what makes an app safer waits for nobody.
  retroactive boolean not null default false,
  post_approval_due_at timestamptz,
  overdue_at timestamptz,
  approved_at timestamptz,
  approval_expires_at timestamptz,
  executed_at timestamptz,
  superseded_at timestamptz,
  verdict text check (verdict in ('match', 'mismatch', 'unknown')),
  evidence_hash text,
  read_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (org_id, id),
  check (retroactive = (post_approval_due_at is not null)),
  check (content_hash
    = encode(sha256('approval-content-v1'::bytea || '\x00'::bytea || convert_to(content, 'UTF8')), 'hex'))
);
create unique index change_requests_open_unique on change_requests (org_id, content_hash, submitter_roots)
  where state in ('submitted', 'approved');
create index change_requests_org on change_requests (org_id, id desc);
create index change_requests_entity on change_requests (org_id, entity) where state in ('executed', 'attested', 'reconciled');
create index change_requests_mismatch on change_requests (org_id, app_id)
  where verdict = 'mismatch' and state in ('executed', 'attested', 'reconciled');
create index change_requests_watched on change_requests (read_at nulls first)
  where state in ('executed', 'attested', 'reconciled');

-- Who did what with a request, one row a step; nothing of it is ever changed. `roots` are the humans behind the actor.
create table change_request_steps (
  id uuid primary key,
  org_id uuid not null,
  change_request_id uuid not null,
  step text not null check (step in
    ('approved', 'rejected', 'canceled', 'voided', 'executed', 'returned', 'attested', 'reconciled', 'closed', 'overdue')),
  actor_type text not null check (actor_type in ('user', 'system')),
  actor_id text not null,
  via text,
  via_id uuid,
  roots uuid[] not null,
  exception boolean not null default false,
  reason text check (length(reason) between 1 and 1000),
  evidence jsonb,
  evidence_hash text,
  created_at timestamptz not null default now(),
  foreign key (org_id, change_request_id) references change_requests (org_id, id) on delete cascade
);
create index change_request_steps_request on change_request_steps (change_request_id, id);

-- The roles that may approve; a test compares them with the permission catalogue.
create function approves(role text) returns boolean language sql immutable parallel safe
  as $$ select role in ('owner', 'admin', 'approver') $$;

-- Members who may approve; a suspended one counts as if it were not there.
create function approvers_of(org uuid) returns setof uuid language sql stable
  as $$ select user_id from memberships where org_id = org and suspended_at is null and approves(role) $$;

-- The humans behind an actor: of a session its person; of a token whoever made or rotated it, or one of the tokens that
-- it replaces or was made through. What it does not know it refuses.
create function principal_roots(actor uuid, via text, via_id uuid) returns uuid[] language plpgsql stable as $$
declare roots uuid[];
begin
  if via = 'session' then
    return array[actor];
  elsif via = 'token' then
    with recursive behind as (
      select t.* from api_tokens t where t.id = via_id
      union
      select t.* from api_tokens t join behind b on t.id in (b.replaces_id, b.created_through)
    )
    select array_agg(distinct person order by person) into roots
    from (select user_id as person from behind union select rotated_by from behind) people where person is not null;
  end if;
  if roots is null then
    raise exception 'nobody is known behind this actor' using errcode = 'check_violation';
  end if;
  return roots;
end $$;

create function guard_change_request() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' then
    if not (new.state = 'submitted' and not new.retroactive) and not (new.state = 'executed' and new.retroactive) then
      raise exception 'a change request begins as submitted' using errcode = 'check_violation';
    end if;
    new.submitter_roots := principal_roots(new.submitted_by, new.submitted_via, new.submitted_via_id);
    return new;
  end if;
  if (new.id, new.org_id, new.app_id, new.action, new.subject, new.content, new.content_hash, new.submitted_by,
      new.submitted_via, new.submitted_via_id, new.submitter_roots, new.retroactive, new.post_approval_due_at, new.created_at)
    is distinct from
     (old.id, old.org_id, old.app_id, old.action, old.subject, old.content, old.content_hash, old.submitted_by,
      old.submitted_via, old.submitted_via_id, old.submitter_roots, old.retroactive, old.post_approval_due_at, old.created_at)
  then
    raise exception 'what a change request asks for never changes' using errcode = 'check_violation';
  end if;
  if new.state <> old.state and ((old.state, new.state) not in (
    ('submitted', 'approved'), ('submitted', 'rejected'), ('submitted', 'canceled'), ('submitted', 'voided'),
    ('approved', 'executing'), ('approved', 'rejected'), ('approved', 'canceled'), ('approved', 'voided'),
    ('executing', 'executed'), ('executing', 'approved'), ('executing', 'voided'),
    ('executed', 'attested'), ('executed', 'closed'), ('executed', 'rejected'),
    ('attested', 'reconciled'), ('attested', 'closed'), ('reconciled', 'closed'))
    or (new.state = 'rejected' and old.state = 'executed' and not old.retroactive)) then
    raise exception 'a change request that is % cannot become %', old.state, new.state using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger change_requests_guard before insert or update on change_requests
  for each row execute function guard_change_request();

-- At the end of the transaction: no state without the step that leads to it, whoever wrote the row.
create function demand_change_request_steps() returns trigger language plpgsql as $$
declare
  request change_requests;
  missing text;
begin
  -- The row as it is now: a transaction may have taken it through several states.
  select * into request from change_requests where id = new.id;
  if not found then
    return null;
  end if;
  select wanted into missing from unnest(case request.state
      when 'approved' then array['approved']
      when 'executing' then array['approved']
      when 'executed' then array['approved', 'executed']
      when 'attested' then array['approved', 'executed', 'attested']
      when 'reconciled' then array['approved', 'executed', 'attested', 'reconciled']
      when 'closed' then case when request.superseded_at is null
        then array['approved', 'executed', 'attested', 'reconciled'] else array['approved', 'executed', 'closed'] end
      else array[]::text[] end) as wanted
  where not (wanted = 'approved' and request.retroactive and request.state = 'executed' and request.approved_at is null)
    and not exists (select 1 from change_request_steps s where s.change_request_id = request.id and s.step = wanted)
  limit 1;
  if missing is not null then
    raise exception 'a change request that is % must have been %', request.state, missing using errcode = 'check_violation';
  end if;
  return null;
end $$;
create constraint trigger change_requests_steps after insert or update on change_requests
  deferrable initially deferred for each row execute function demand_change_request_steps();

-- S1, S2, S3 and S5 by the humans behind the actors, whatever the program above believes.
create function guard_change_request_step() returns trigger language plpgsql as $$
declare
  request change_requests;
  executors uuid[];
begin
  select * into request from change_requests where id = new.change_request_id for no key update;
  if new.actor_type = 'system' then
    if current_user <> 'capstan_control' or new.step in ('approved', 'executed') then
      raise exception 'the system takes no step % here', new.step using errcode = 'check_violation';
    end if;
    new.roots := '{}';
    return new;
  end if;
  new.roots := principal_roots(new.actor_id::uuid, new.via, new.via_id);
  if new.step = 'approved' then
    if exists (select 1 from unnest(new.roots) person where person not in (select approvers_of(new.org_id))) then
      raise exception 'not everybody behind the approval may approve' using errcode = 'check_violation';
    end if;
    if request.action = 'role.grant' and new.roots::text[] && array[request.subject ->> 'user'] then
      raise exception 'nobody approves a grant to themselves' using errcode = 'check_violation';
    end if;
    if new.exception <> (new.roots && request.submitter_roots) or new.exception <> request.exception then
      raise exception 'the submitter of a change does not approve it' using errcode = 'check_violation';
    end if;
    if new.exception and not exists (select 1 from organizations o where o.id = new.org_id
        and o.sole_operator_until > new.created_at and length(new.reason) >= 10
        and (request.retroactive or new.created_at >= request.created_at + interval '15 minutes')) then
      raise exception 'the exception for a sole operator does not apply' using errcode = 'check_violation';
    end if;
  elsif new.step in ('attested', 'reconciled') then
    select array_agg(person) into executors from change_request_steps s, unnest(s.roots) person
      where s.change_request_id = request.id and s.step = 'executed';
    if executors is null or new.roots && executors then
      raise exception 'who executed a change has not it %', new.step using errcode = 'check_violation';
    end if;
  end if;
  return new;
end $$;
create trigger change_request_steps_guard before insert on change_request_steps
  for each row execute function guard_change_request_step();
create trigger change_request_steps_append_only before update on change_request_steps
  for each row execute function refuse_change();

-- Nobody is a sole operator where a second person may approve.
create function guard_sole_operator() returns trigger language plpgsql as $$
begin
  if (select count(*) from approvers_of(new.id)) <> 1 then
    raise exception 'the exception is for organizations with one approver' using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger organizations_sole_operator before update of sole_operator_until on organizations
  for each row when (new.sole_operator_until is not null) execute function guard_sole_operator();

-- However a second approver comes: the exception ends with the transaction that makes one, and its log says so. Deferred,
-- because the head of the audit chain is the last lock.
create function end_sole_operator() returns trigger language plpgsql as $$
declare
  door text := current_setting('app.org_id', true);
  active timestamptz;
  head audit_heads;
  event text;
  at text;
begin
  perform set_config('app.org_id', new.org_id::text, true);
  -- Against whoever turns the exception on at this moment.
  select sole_operator_until into active from organizations where id = new.org_id for share;
  if active is not null
    and (select count(*) from approvers_of(new.org_id)) > 1 then
    update organizations
      set sole_operator_since = null, sole_operator_until = null, sole_operator_reason = null, updated_at = now()
      where id = new.org_id;
    insert into audit_heads (org_id, seq, hash) values (new.org_id, 0, repeat('0', 64)) on conflict do nothing;
    select * into head from audit_heads where org_id = new.org_id for update;
    at := to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
    event := format('{"action":"organization.sole_operator_ended","actor":{"id":"database","type":"system"},'
      '"data":{"reason":"second-approver"},"org":"%s","outcome":"success","prev":"%s","request":{"id":"%s"},'
      '"seq":%s,"target":{"organization":"%s","user":"%s"},"ts":"%s","v":1}',
      new.org_id, head.hash, gen_random_uuid(), head.seq + 1, new.org_id, new.user_id, at);
    head.hash := encode(sha256('audit-event-v1'::bytea || '\x00'::bytea || convert_to(event, 'UTF8')), 'hex');
    insert into audit_events (org_id, seq, event, hash, action, created_at)
      values (new.org_id, head.seq + 1, event, head.hash, 'organization.sole_operator_ended', at::timestamptz);
    update audit_heads set seq = head.seq + 1, hash = head.hash where org_id = new.org_id;
  end if;
  perform set_config('app.org_id', coalesce(door, ''), true);
  return null;
end $$;
create constraint trigger memberships_sole_operator after insert or update of role, suspended_at on memberships
  deferrable initially deferred for each row when (approves(new.role) and new.suspended_at is null) execute function end_sole_operator();

alter table change_requests enable row level security;
alter table change_requests force row level security;
create policy change_requests_org on change_requests using (org_id = app_org()) with check (org_id = app_org());
alter table change_request_steps enable row level security;
alter table change_request_steps force row level security;
create policy change_request_steps_org on change_request_steps
  using (org_id = app_org()) with check (org_id = app_org());

-- The control process finds what is to be read in every organization, then acts inside `withOrg`.
create policy change_requests_control on change_requests for select to capstan_control using (true);

grant select, insert, update on change_requests to capstan_api;
grant select, insert on change_request_steps to capstan_api, capstan_control;
grant select, update on change_requests to capstan_control;
