-- A notice speaks of one date: a profile that was renewed leaves the certificate its own notices.
alter table credential_notices drop constraint credential_notices_pkey;
alter table credential_notices add primary key (credential_id, version, days_before, expires_at);

-- Ends the time of a version that no unfinished build signs with any more.
grant update (status, retired_at) on credential_versions to capstan_control;

-- Postgres locks a row only for a role that may update something of it. The broker locks the attempt that it opens a
-- credential for, so that the attempt cannot end meanwhile; when a row was made is the least there is to grant.
grant update (created_at) on jobs, leases to capstan_broker;
