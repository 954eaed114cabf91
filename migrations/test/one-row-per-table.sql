-- One row in every table, of one organization; foreign keys are off so that order does not matter.
set session_replication_role = replica;
insert into organizations (id, name) values ('00000000-0000-7000-8000-000000000001', 'One');
insert into users (id, email) values ('00000000-0000-7000-8000-000000000002', 'one@example.test');
insert into memberships (org_id, user_id, role)
  values ('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', 'owner');
insert into user_passwords (user_id, hash) values ('00000000-0000-7000-8000-000000000002', 'x');
insert into sessions (id, user_id, token_hash, expires_at)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000002', 'h1', now());
insert into api_tokens (id, org_id, user_id, name, token_hash, last_four, expires_at)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'h2', 'abcd', now());
insert into workers (id, name, token_hash) values (gen_random_uuid(), 'x', 'h3');
insert into audit_heads (org_id, seq, hash) values ('00000000-0000-7000-8000-000000000001', 1, repeat('0', 64));
insert into audit_events (org_id, seq, event, hash, action, created_at)
  values ('00000000-0000-7000-8000-000000000001', 1, '{}', repeat('0', 64), 'x', now());
insert into apps (id, org_id, name, type)
  values ('00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000001', 'x', 'android');
insert into app_public_keys (id, org_id, app_id, pem, fingerprint_sha256)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'x');
insert into credentials (id, org_id, app_id, name, name_lower, platform, type, kind, current_version)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'x', 'android', 'production', 'android.keystore', 1);
insert into credential_versions (id, org_id, credential_id, version, envelope, kek_id, kek_version, fingerprint_sha256, file_name, file_mime_type, file_size_bytes)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 1, '\x00', 'x', 1, 'x', 'x', 'x', 1);
insert into uploads (id, org_id, target_kind, target_id)
  values ('aaaaaaaaaaaaaaaa', '00000000-0000-7000-8000-000000000001', 'build-source', gen_random_uuid());
insert into upload_parts (org_id, upload_id, part_number, object_key, size_bytes, sha256)
  values ('00000000-0000-7000-8000-000000000001', 'aaaaaaaaaaaaaaaa', 1, 'x', 1, 'x');
insert into build_sources (id, org_id, app_id, type)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'archive');
insert into builds (id, org_id, app_id, number, platform)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 1, 'web');
insert into jobs (id, org_id, app_id, build_id)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid());
insert into job_phases (org_id, job_id, attempt, phase, state, started_at)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), 1, 'prepare', 'started', now());
insert into job_logs (org_id, job_id, attempt, batch, first_number, last_number, lines)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), 1, 1, 1, 1, '[]');
insert into leases (id, org_id, job_id, build_id, attempt, worker_id, worker_name, token_hash, binding, expires_at)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), 1, gen_random_uuid(), 'x', 'h4', 'x', now());
insert into credential_opens (org_id, lease_id, credential_version_id, step)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), 'sign');
insert into artifacts (id, org_id, app_id, build_id, attempt, type, file_name, file_mime_type, file_size_bytes, sha256, object_key)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), 1, 'apk', 'x', 'x', 1, 'x', 'x');
insert into discarded_objects (id, org_id, key)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'orgs/x');
insert into outbox (org_id, topic, payload) values ('00000000-0000-7000-8000-000000000001', 'x', '{}');
insert into bundles (id, org_id, app_id, build_id, artifact_type)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), 'zip');
insert into bundle_files (id, org_id, bundle_id, name, mime_type, size_bytes, sha256)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'x', 1, 'x');
insert into channels (id, org_id, app_id, name)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x');
insert into deployments (id, org_id, app_id, app_build_id, app_channel_id, bundle_id)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid());
insert into devices (org_id, app_id, id, platform)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 0);
insert into provisioning_profiles (id, org_id, app_id, profile_uuid, name, team_id, application_identifier, type,
    certificate_fingerprints, content, file_name, expires_at)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'x', 'x', 'x', 'ad-hoc',
    '{}', '\x00', 'x', now());
insert into credential_notices (org_id, credential_id, version, days_before, expires_at)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), 1, 30, now());
insert into deletion_certificates (id, org_id, subject_kind, subject_id, document)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'credential', gen_random_uuid(), '{}');
insert into app_roots (org_id, app_id, version, envelope, sha256) values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), 2, '{}', 'x');
insert into rollouts (id, org_id, app_id, app_channel_id, app_build_id, bundle_id, starts_at, steps, halt_rule, baseline)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
    gen_random_uuid(), now(), '[]', '{}', '{}');
insert into rollout_decisions (id, org_id, rollout_id, step, decision, evidence, reason)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 0, 'started', '{}', 'x');
insert into device_tokens (org_id, app_id, device_id, token_hash) values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'h5');
insert into launch_results (org_id, app_id, bundle_id, device_id, deployment_id, outcome)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), 'x', gen_random_uuid(), 'confirmed');
insert into launch_counts (org_id, app_id, deployment_id, bucket, shard)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), now(), 0);
insert into app_activity (org_id, app_id, bucket, active_day, active_week, active_month, bundles, versions)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), now(), 1, 1, 1, '[]', '[]');
insert into personal_values (org_id, seq, name, salt, value)
  values ('00000000-0000-7000-8000-000000000001', 1, 'name', sha256(''), '"x"');
insert into audit_checkpoints (org_id, size, note) values ('00000000-0000-7000-8000-000000000001', 1, 'x');
insert into audit_tiles (org_id, tile, hash) values ('00000000-0000-7000-8000-000000000001', 0, sha256(''));
insert into app_changes (app_id, org_id, changed_in)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 1);
insert into static_apps (app_id, org_id)
  values ('00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000001');
insert into static_objects (app_id, org_id, path, digest, written_at)
  values ('00000000-0000-7000-8000-000000000003', '00000000-0000-7000-8000-000000000001', 'x', 'x', now());
insert into bundle_copy_hazards (org_id, app_id, from_bundle_id, to_bundle_id, href)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'x');
insert into environments (id, org_id, app_id, name, name_lower)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'x');
insert into environment_variables (id, org_id, environment_id, key, value)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'x');
insert into native_configurations (id, org_id, app_id, name, name_lower)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'x');
insert into git_connections (id, org_id, name, name_lower, provider, host, auth_kind)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'x', 'x', 'github', 'x', 'none');
insert into app_repositories (app_id, org_id, provider, path, url)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'github', 'x', 'x');
insert into sealed_values (id, org_id, app_id, build_id, name, envelope, kek_id, kek_version)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), 'x', '\x00', 'x', 1);
insert into secret_opens (org_id, lease_id, purpose)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'variables');

insert into user_totp (user_id, sealed_secret) values ('00000000-0000-7000-8000-000000000002', '\x00');
insert into recovery_codes (user_id, code_hash) values ('00000000-0000-7000-8000-000000000002', 'h5');
insert into passkeys (id, user_id, credential_id, public_key, counter, name)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000002', 'h6', '\x00', 0, 'x');
insert into spent_values (hash, expires_at) values ('h7', now());
insert into device_codes (id, device_hash, user_code_hash, expires_at) values (gen_random_uuid(), 'h8', 'h9', now());
insert into bundle_patches (id, org_id, app_id, from_bundle_id, to_bundle_id)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), gen_random_uuid());
insert into embedded_bundles (org_id, app_id, platform, version_code, bundle_id)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'android', '1', gen_random_uuid());
insert into build_shares (id, org_id, app_id, build_id)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid());
insert into artifact_provenance (artifact_id, org_id, envelope)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', '{}');
insert into change_requests (id, org_id, action, subject, content, content_hash, submitted_by, submitted_via, submitter_roots)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'x', '{}', '{}',
    encode(sha256('approval-content-v1'::bytea || '\x00'::bytea || '{}'::bytea), 'hex'), gen_random_uuid(), 'session',
    array[gen_random_uuid()]);
insert into change_request_steps (id, org_id, change_request_id, step, actor_type, actor_id, roots)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'rejected', 'user', 'x', '{}');
insert into trust_policies (id, org_id, created_by, name, issuer, audience, claims, scopes, token_seconds)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'x', 'x', '{"a": ["x"]}', '{x}', 60);
insert into teams (id, org_id, name) values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'x');
insert into team_members (org_id, team_id, user_id)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), '00000000-0000-7000-8000-000000000002');
insert into role_grants (id, org_id, team_id, role) values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'viewer');
insert into invitations (id, org_id, email, role, token_hash, expires_at)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'x@example.test', 'viewer', 'h10', now());
insert into access_reviews (id, org_id, due_at) values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', now());
insert into access_review_items (id, org_id, review_id, kind, user_id)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'membership', gen_random_uuid());
insert into operators (id, name, token_hash) values (gen_random_uuid(), 'x', 'h20');
insert into support_grants (id, org_id, operator_id, operator_name, scope, case_reference, reason, hours)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'logs', 'x', 'x', 1);
insert into incidents (id, title, classes, aware_at, created_by) values (gen_random_uuid(), 'x', '{other}', now(), gen_random_uuid());
insert into incident_steps (id, incident_id, state, evidence, operator_id)
  values (gen_random_uuid(), gen_random_uuid(), 'detect', 'x', gen_random_uuid());
insert into incident_organizations (org_id, incident_id, events)
  values ('00000000-0000-7000-8000-000000000001', gen_random_uuid(), 1);
insert into incident_notices (id, org_id, incident_id, kind, message)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'personal_data', 'x');
insert into dependency_caches (id, org_id, app_id, build_id, attempt, key, tier, branch, package_manager, size_bytes, sha256, object_key)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), gen_random_uuid(), 1, repeat('0', 64),
    'members', '', 'npm', 1, repeat('0', 64), 'x');
insert into job_log_objects (job_id, org_id, object_key, size_bytes, sha256, last_number, chunks)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'x', 1, 'x', 1, '[]');
insert into identity_providers (id, org_id, name, issuer, client_id)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'x', 'x', 'x');
insert into user_identities (id, org_id, user_id, issuer, subject)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', 'x', 'x');
insert into sign_in_flows (id, state_hash, browser_hash, provider_id, sealed_secrets, expires_at)
  values (gen_random_uuid(), 'h11', 'x', gen_random_uuid(), '\x00', now());
insert into checkpoint_webhooks (id, org_id, url, sealed_secret, delivered_size)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', 'x', '\x00', 0);
insert into app_webhooks (id, org_id, app_id, name, host, sealed_url, sealed_secret, events, format, created_by)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', 'x', '\x00', '\x00',
    '{job_finished}', 'raw', gen_random_uuid());
insert into app_webhook_deliveries (id, org_id, webhook_id, event, facts)
  values (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', gen_random_uuid(), 'job_finished', '{}');
insert into mails (id, kind, sealed, expires_at) values (gen_random_uuid(), 'x', '\x00', now());
insert into password_resets (id, user_id, token_hash, expires_at) values (gen_random_uuid(), gen_random_uuid(), 'h9', now());
insert into email_changes (id, user_id, email, token_hash, expires_at)
  values (gen_random_uuid(), gen_random_uuid(), 'x@example.test', 'h12', now());
set session_replication_role = origin;
