import {
  credentials,
  credentialVersions,
  deletionCertificates,
  newId,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { type Envelope, sealEnvelope } from '@capstan/sdk/release'
import { and, eq } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import type { BrokerDeps } from './broker-deps.js'
import type { DestroyRequest } from './destroy-request.js'

export const DELETION_CERTIFICATE_TYPE = 'application/vnd.capstan.deletion-certificate+json'
const DAY_MS = 86_400_000

export type Destroyed = { certificateId: string; destroyedAt: string; backupsUntil: string }
type SubjectKind = 'credential' | 'credential-version' | 'organization'
type Subject = { kind: SubjectKind; id: string }
type CoveredVersion = { credential: string; version: number; fingerprint: string; kekId: string; kekVersion: number }

/**
 * Destroys keys for good, then signs and stores the certificate that says so, with its audit event. Asked again, it
 * finishes what a crash left undone and answers with the certificate that exists. Null: the organization has no such
 * credential.
 */
export async function destroyKeys(
  deps: BrokerDeps,
  request: DestroyRequest,
  requestId: string,
): Promise<Destroyed | null> {
  const found = await withOrg(deps.db, request.org, (tx) => findSubject(tx, request))
  if (found === null) return null
  const destroyedAt = await destroy(deps, request)
  return withOrg(deps.db, request.org, (tx) =>
    certify(deps, tx, { ...found, org: request.org, destroyedAt, requestId }),
  )
}

async function findSubject(
  tx: Transaction,
  { org, credential, version }: DestroyRequest,
): Promise<{ subject: Subject; versions: CoveredVersion[] } | null> {
  const ofVersion = version === undefined ? undefined : eq(credentialVersions.version, version)
  const ofCredential = credential === undefined ? undefined : eq(credentialVersions.credentialId, credential)
  const rows = await tx
    .select({
      id: credentialVersions.id,
      credential: credentialVersions.credentialId,
      version: credentialVersions.version,
      fingerprint: credentialVersions.fingerprintSha256,
      kekId: credentialVersions.kekId,
      kekVersion: credentialVersions.kekVersion,
    })
    .from(credentialVersions)
    .innerJoin(credentials, eq(credentials.id, credentialVersions.credentialId))
    .where(and(ofCredential, ofVersion))
    .orderBy(credentialVersions.credentialId, credentialVersions.version)
  const versions = rows.map(({ id: _id, ...facts }) => facts)
  if (credential === undefined) return { subject: { kind: 'organization', id: org }, versions }
  const [row] = rows
  if (row === undefined) return null
  const subject: Subject =
    version === undefined ? { kind: 'credential', id: credential } : { kind: 'credential-version', id: row.id }
  return { subject, versions }
}

async function destroy({ keys, now }: BrokerDeps, { org, credential, version }: DestroyRequest): Promise<Date> {
  if (credential === undefined) return keys.destroyOrganization(org)
  if (version === undefined) return keys.destroyCredential({ org, credential })
  await keys.destroyVersion({ org, credential }, version)
  return now()
}

type Certified = { subject: Subject; versions: CoveredVersion[]; org: string; destroyedAt: Date; requestId: string }

async function certify(deps: BrokerDeps, tx: Transaction, facts: Certified): Promise<Destroyed> {
  const { subject, org, versions } = facts
  const [before] = await tx
    .select({ id: deletionCertificates.id, document: deletionCertificates.document })
    .from(deletionCertificates)
    .where(and(eq(deletionCertificates.subjectKind, subject.kind), eq(deletionCertificates.subjectId, subject.id)))
  if (before !== undefined) return readCertificate(before.id, before.document as unknown as Envelope)
  const id = newId()
  const destroyedAt = facts.destroyedAt.toISOString()
  const backupsUntil = new Date(facts.destroyedAt.getTime() + deps.keyStoreRetentionDays * DAY_MS).toISOString()
  const statement = { v: 1, id, org, subject, versions, destroyedAt, backupsUntil }
  const payload = Buffer.from(JSON.stringify(statement), 'utf8')
  const document = await sealEnvelope(DELETION_CERTIFICATE_TYPE, payload, [deps.deletionSigner])
  await tx
    .insert(deletionCertificates)
    .values({ id, orgId: org, subjectKind: subject.kind, subjectId: subject.id, document: { ...document } })
  await recordAudit(tx, auditorOf(org, facts.requestId), {
    action: `${subject.kind.replace('-', '_')}.key_destroyed`,
    target: { [subject.kind]: subject.id, certificate: id },
    data: { versions, backupsUntil, signedBy: deps.deletionSigner.keyId },
  })
  return { certificateId: id, destroyedAt, backupsUntil }
}

function readCertificate(certificateId: string, { payload }: Envelope): Destroyed {
  const statement = JSON.parse(Buffer.from(payload, 'base64').toString('utf8')) as Omit<Destroyed, 'certificateId'>
  return { certificateId, destroyedAt: statement.destroyedAt, backupsUntil: statement.backupsUntil }
}

const auditorOf = (orgId: string, requestId: string) => ({
  orgId,
  actor: { type: 'system' as const, id: 'broker' },
  requestId,
})
