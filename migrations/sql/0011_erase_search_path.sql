-- A table of a session's own temporary schema must not stand in for one of ours in a function with its owner's rights.
alter function erase_organization_rows (int) set search_path = pg_catalog, public, pg_temp;
