-- Events are found by who acted, by what was acted on, and by time. Expressions of the text itself, so that no second copy of
-- an event can differ from what was hashed.
create index audit_events_org_actor on audit_events (org_id, (event::jsonb #>> '{actor,id}'), seq);
create index audit_events_target on audit_events using gin (jsonb_path_query_array(event::jsonb -> 'target', '$.*') jsonb_path_ops);
create index audit_events_org_created_at on audit_events (org_id, created_at);
