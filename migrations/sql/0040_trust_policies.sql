-- Which tokens of a foreign issuer, usually a CI service, are exchanged for a short-lived token of this organization.
create table trust_policies (
  id uuid primary key,
  org_id uuid not null references organizations (id) on delete cascade,
  -- The person who answers for every token that comes of it.
  created_by uuid not null references users (id) on delete cascade,
  name text not null check (length(name) between 1 and 200),
  issuer text not null check (length(issuer) <= 500),
  audience text not null check (length(audience) between 1 and 500),
  -- Claim to the list of values that it may have.
  claims jsonb not null check (jsonb_typeof(claims) = 'object' and claims <> '{}'::jsonb),
  scopes text[] not null check (cardinality(scopes) > 0),
  cidrs text[] check (cardinality(cidrs) between 1 and 50),
  token_seconds int not null check (token_seconds between 60 and 900),
  last_used_at timestamptz,
  created_at timestamptz not null default now(),
  unique (org_id, id)
);
create index trust_policies_created_by on trust_policies (created_by);

alter table trust_policies enable row level security;
alter table trust_policies force row level security;
create policy trust_policies_org on trust_policies using (org_id = app_org()) with check (org_id = app_org());
create policy trust_policies_lookup on trust_policies for select using (id::text = app_lookup());
create trigger trust_policies_organization before insert on trust_policies
  for each row execute function refuse_ended_organization();
grant select, insert, delete on trust_policies to capstan_api;
grant update (last_used_at) on trust_policies to capstan_api;

-- A token that came of an exchange names its policy, and has an end within minutes.
alter table api_tokens
  add column trust_policy_id uuid,
  add constraint api_tokens_trust_policy foreign key (org_id, trust_policy_id) references trust_policies (org_id, id)
    on delete set null (trust_policy_id),
  add constraint api_tokens_exchanged check (trust_policy_id is null or kind = 'service');
create index api_tokens_trust_policy on api_tokens (trust_policy_id) where trust_policy_id is not null;

-- There is one for every CI job: what has expired is not kept with the others.
create policy api_tokens_control on api_tokens to capstan_control
  using (trust_policy_id is not null and expires_at < now() - interval '1 day');
grant select (expires_at, trust_policy_id), delete on api_tokens to capstan_control;
