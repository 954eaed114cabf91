-- Which consent let somebody be invited with a role that can approve; null where none was demanded then.
alter table invitations
  add column change_request_id uuid,
  add constraint invitations_change_request foreign key (org_id, change_request_id) references change_requests (org_id, id)
    on delete set null (change_request_id);
create index invitations_change_request on invitations (org_id, change_request_id) where change_request_id is not null;

-- The role takes effect when somebody joins: not without the consent that is demanded by then, and not (S5) for one of
-- those who gave it, who may have left meanwhile.
create function guard_invitation_consent() returns trigger language plpgsql as $$
begin
  if new.change_request_id is null then
    if exists (select 1 from organizations where id = new.org_id and separation_of_duties) then
      raise exception 'nobody approved this role' using errcode = 'check_violation';
    end if;
  elsif exists (select 1 from change_request_steps s
      where s.change_request_id = new.change_request_id and s.step = 'approved' and new.accepted_by = any (s.roots)) then
    raise exception 'nobody approves a grant to themselves' using errcode = 'check_violation';
  end if;
  return new;
end $$;
create trigger invitations_consent before update of status on invitations
  for each row when (new.status = 'accepted' and approves(new.role)) execute function guard_invitation_consent();
