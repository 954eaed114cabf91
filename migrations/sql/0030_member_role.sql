-- What was called developer is called member, as the official SDK has it. Who has the role none belongs to the organization
-- and may do what grants say, and nothing else. Unforced for a moment: an owner that is no superuser would see no rows.
alter table memberships drop constraint memberships_role_check;
alter table memberships no force row level security;
update memberships set role = 'member' where role = 'developer';
alter table memberships force row level security;
alter table memberships add constraint memberships_role_check
  check (role in ('owner', 'admin', 'approver', 'billing', 'member', 'viewer', 'none'));
