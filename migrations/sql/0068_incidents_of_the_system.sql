-- Opened or noted by the system itself, of which no operator is the author: null.
alter table incidents
  alter column created_by drop not null,
  -- Of a breach of personal data of which nobody has computed whom it concerns: its clock runs all the same.
  add column warned_at timestamptz,
  add column missed_at timestamptz;
alter table incident_steps alter column operator_id drop not null;
create index incidents_created_at on incidents (created_at, id);
grant insert on incidents, incident_steps, incident_organizations to capstan_control;
grant update (warned_at, missed_at) on incidents to capstan_control;
