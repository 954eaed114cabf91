-- Whether the same human is among both: by account or, where both accounts are in the organization, by address. A provider
-- may have brought somebody in a second time, under an address that is nobody's key.
create function same_people(these uuid[], those uuid[]) returns boolean language sql stable as $$
  select these && those or exists (
    select 1 from users a join users b on lower(a.email) = lower(b.email)
    where a.id = any (these) and b.id = any (those) and a.email <> '')
$$;

-- S1, S2, S3 and S5 as before, by people.
create or replace function guard_change_request_step() returns trigger language plpgsql as $$
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
    if request.action = 'role.grant' and same_people(new.roots, array[(request.subject ->> 'user')::uuid]) then
      raise exception 'nobody approves a grant to themselves' using errcode = 'check_violation';
    end if;
    if new.exception <> same_people(new.roots, request.submitter_roots) or new.exception <> request.exception then
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
    if executors is null or same_people(new.roots, executors) then
      raise exception 'who executed a change has not it %', new.step using errcode = 'check_violation';
    end if;
  end if;
  return new;
end $$;

create or replace function guard_invitation_consent() returns trigger language plpgsql as $$
begin
  if new.change_request_id is null then
    if exists (select 1 from organizations where id = new.org_id and separation_of_duties) then
      raise exception 'nobody approved this role' using errcode = 'check_violation';
    end if;
  elsif exists (select 1 from change_request_steps s
      where s.change_request_id = new.change_request_id and s.step = 'approved' and same_people(array[new.accepted_by], s.roots)) then
    raise exception 'nobody approves a grant to themselves' using errcode = 'check_violation';
  end if;
  return new;
end $$;

-- As before; and what was approved, when it was done and to what stays as it was written.
create or replace function guard_change_request() returns trigger language plpgsql as $$
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
  if (old.entity is not null and new.entity is distinct from old.entity)
    or (old.executed_at is not null and new.executed_at is distinct from old.executed_at)
    or (old.superseded_at is not null and new.superseded_at is null)
    or (old.overdue_at is not null and new.overdue_at is distinct from old.overdue_at)
    or ((new.exception, new.approved_at, new.approval_expires_at)
        is distinct from (old.exception, old.approved_at, old.approval_expires_at)
      and not (old.state = 'submitted' and new.state = 'approved')
      and not (new.retroactive and old.approved_at is null))
  then
    raise exception 'what was done with a change request never changes' using errcode = 'check_violation';
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
alter table change_requests
  add constraint change_requests_at_once check (not retroactive
    or action in ('deployment.rollback', 'deployment.narrow', 'rollout.pause', 'rollout.abort', 'channel.pause')),
  -- Seven days by two readings of a clock; hours, because days are longer where clocks are put back.
  add constraint change_requests_approval_life check (approval_expires_at <= approved_at + interval '169 hours');

-- When somebody who could approve was removed, demoted or suspended: whoever did it is not a sole operator the same day.
alter table organizations add column approver_left_at timestamptz;
create function note_approver_left() returns trigger language plpgsql as $$
begin
  update organizations set approver_left_at = clock_timestamp() where id = old.org_id;
  return null;
end $$;
create trigger memberships_approver_removed after delete on memberships
  for each row when (approves(old.role) and old.suspended_at is null) execute function note_approver_left();
create trigger memberships_approver_demoted after update of role, suspended_at on memberships
  for each row when (approves(old.role) and old.suspended_at is null
    and not (approves(new.role) and new.suspended_at is null)) execute function note_approver_left();
grant update (approver_left_at) on organizations to capstan_control;

create or replace function guard_sole_operator() returns trigger language plpgsql as $$
begin
  if (select count(*) from approvers_of(new.id)) <> 1 then
    raise exception 'the exception is for organizations with one approver' using errcode = 'check_violation';
  end if;
  if new.sole_operator_since < new.approver_left_at + interval '24 hours' then
    raise exception 'somebody who could approve left less than a day ago' using errcode = 'check_violation';
  end if;
  return new;
end $$;
