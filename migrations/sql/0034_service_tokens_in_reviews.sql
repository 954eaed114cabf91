-- A service token is access of its own, so it is reviewed too; what nobody attests is revoked.
alter table access_review_items add column token_id uuid;
alter table access_review_items drop constraint access_review_items_kind_check;
alter table access_review_items add constraint access_review_items_kind_check
  check (kind in ('membership', 'grant', 'team-member', 'service-token'));
alter table access_review_items drop constraint access_review_items_check1;
alter table access_review_items add constraint access_review_items_names check (case kind
  when 'grant' then grant_id is not null
  when 'team-member' then team_id is not null and user_id is not null
  when 'service-token' then token_id is not null
  else user_id is not null end);
grant select (id, org_id, revoked_at), update (revoked_at) on api_tokens to capstan_control;
