-- ISO 3166-1 codes of the countries from whose addresses the organization is used; null: from everywhere.
alter table organizations
  add column country_allowlist text[] check (cardinality(country_allowlist) between 1 and 300);
