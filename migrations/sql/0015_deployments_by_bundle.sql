-- A device reports how a bundle started; the deployment that counts is found by the bundle.
create index deployments_bundle on deployments (bundle_id, id desc);
