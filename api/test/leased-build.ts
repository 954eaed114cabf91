import {
  apps,
  builds,
  credentials,
  credentialVersions,
  jobs,
  leases,
  newId,
  withOrg,
  type Transaction,
} from '@capstan/migrations'

import { bindLease } from '../src/auth/bind-lease.js'
import { createToken, hashToken } from '../src/auth/tokens.js'
import { Secret } from '../src/vault/secret.js'
import type { Fixture } from './fixture.js'

export type StoredCredential = { id: string; appId: string; version: number; versionId: string }
export type LeasedBuild = {
  orgId: string
  buildId: string
  jobId: string
  leaseId: string
  attempt: number
  token: string
  /** What the worker would ask the broker. */
  request: { credentialId: string; credentialVersion: number; attempt: number; step: 'sign' }
}

export async function storeApp({ deps }: Fixture, orgId: string): Promise<string> {
  const id = newId()
  await withOrg(deps.db, orgId, (tx) => tx.insert(apps).values({ id, orgId, name: 'App', type: 'capacitor' }))
  return id
}

/** A credential as the upload route stores one, sealed by the running broker. */
export async function storeCredential(
  { deps }: Fixture,
  orgId: string,
  appId: string,
  payload: string,
): Promise<StoredCredential> {
  const [id, versionId] = [newId(), newId()]
  const ctx = { org: orgId, app: appId, credential: id, kind: 'android.keystore', version: '1' }
  const sealed = await deps.seal.seal(ctx, new Secret(Buffer.from(payload)))
  await withOrg(deps.db, orgId, async (tx) => {
    await tx.insert(credentials).values({
      id,
      orgId,
      appId,
      name: id,
      nameLower: id,
      platform: 'android',
      type: 'production',
      kind: 'android.keystore',
      currentVersion: 1,
    })
    await tx.insert(credentialVersions).values({
      id: versionId,
      orgId,
      credentialId: id,
      version: 1,
      envelope: sealed.envelope,
      kekId: sealed.kekId,
      kekVersion: sealed.kekVersion,
      fingerprintSha256: 'f'.repeat(64),
      fileName: 'test.p12',
      fileMimeType: 'application/x-pkcs12',
      fileSizeBytes: 1,
    })
  })
  return { id, appId, version: 1, versionId }
}

/** Above every number that the API gives to a build of a test. */
let lastNumber = 2 ** 20
const nextNumber = () => (lastNumber += 1)

/** A build that is running under a live lease, and the token of that lease. */
export async function leaseBuild(
  fixture: Fixture,
  orgId: string,
  credential: StoredCredential,
  change: Partial<{ appId: string }> = {},
): Promise<LeasedBuild> {
  const { deps } = fixture
  const worker = await fixture.createWorker()
  const [buildId, jobId, leaseId] = [newId(), newId(), newId()]
  const appId = change.appId ?? credential.appId
  const token = createToken('cl')
  const attempt = 1
  await withOrg(deps.db, orgId, async (tx: Transaction) => {
    await tx.insert(builds).values({
      id: buildId,
      orgId,
      appId,
      number: nextNumber(),
      platform: 'android',
      type: 'release',
      credentialId: credential.id,
      credentialVersion: credential.version,
    })
    await tx.insert(jobs).values({ id: jobId, orgId, appId, buildId, status: 'in_progress', attempt })
    const bound = { orgId, jobId, buildId, attempt, tokenHash: hashToken(deps.pepper, token) }
    const chosen = { appId, credentialId: credential.id, credentialVersion: credential.version }
    await tx.insert(leases).values({
      id: leaseId,
      ...bound,
      binding: bindLease(deps.pepper, bound, chosen),
      workerId: worker.id,
      workerName: 'test-worker',
      expiresAt: new Date(Date.now() + 60_000),
    })
  })
  const request = { credentialId: credential.id, credentialVersion: credential.version, attempt, step: 'sign' as const }
  return { orgId, buildId, jobId, leaseId, attempt, token, request }
}
