import {
  artifactProvenance,
  artifacts,
  builds,
  buildSources,
  jobs,
  leases,
  newId,
  type Transaction,
  withOrg,
} from '@capstan/migrations'
import { type Envelope, sealEnvelope } from '@capstan/sdk/release'
import { and, eq } from 'drizzle-orm'
import { z } from 'zod'

import { recordAudit } from '../audit/record-audit.js'
import type { BrokerDeps } from './broker-deps.js'

const PROVENANCE_TYPE = 'application/vnd.in-toto+json'

/** `POST /provenance` on the `seal` socket. The caller names an artefact; what is stated of it the broker reads itself. */
export const ProvenanceRequest = z.strictObject({ org: z.uuid(), artifact: z.uuid() })
export type ProvenanceRequest = z.infer<typeof ProvenanceRequest>

/**
 * The signed statement of where an artefact comes from, made once and stored with its audit event. Null: there is no such
 * artefact of a build that succeeded, or the broker was given no key for this.
 */
export async function signProvenance(
  { db, provenance }: BrokerDeps,
  { org, artifact: artifactId }: ProvenanceRequest,
): Promise<Record<string, unknown> | null> {
  if (provenance === null) return null
  const found = await withOrg(db, org, (tx) => load(tx, artifactId))
  if (found === null || 'envelope' in found) return found?.envelope ?? null
  const statement = describe(found, provenance.publicUrl)
  const payload = Buffer.from(JSON.stringify(statement), 'utf8')
  const envelope: Envelope = await sealEnvelope(PROVENANCE_TYPE, payload, [provenance.signer])
  return withOrg(db, org, async (tx) => {
    const [stored] = await tx
      .insert(artifactProvenance)
      .values({ artifactId, orgId: org, envelope: { ...envelope } })
      .onConflictDoNothing()
      .returning({ envelope: artifactProvenance.envelope })
    if (!stored) {
      const other = await load(tx, artifactId)
      return other !== null && 'envelope' in other ? other.envelope : null
    }
    const by = { orgId: org, actor: { type: 'system' as const, id: 'broker' }, requestId: newId() }
    await recordAudit(tx, by, {
      action: 'artifact.provenance_signed',
      target: { app: found.build.appId, build: found.build.id, artifact: artifactId },
      data: { sha256: found.artifact.sha256, signedBy: provenance.signer.keyId },
    })
    return stored.envelope
  })
}

type Facts = {
  artifact: typeof artifacts.$inferSelect
  build: typeof builds.$inferSelect
  job: typeof jobs.$inferSelect
  lease: typeof leases.$inferSelect
  source: typeof buildSources.$inferSelect | null
}

async function load(
  tx: Transaction,
  artifactId: string,
): Promise<Facts | { envelope: Record<string, unknown> } | null> {
  const [made] = await tx.select().from(artifactProvenance).where(eq(artifactProvenance.artifactId, artifactId))
  if (made) return { envelope: made.envelope }
  const [row] = await tx
    .select({ artifact: artifacts, build: builds, job: jobs, lease: leases, source: buildSources })
    .from(artifacts)
    .innerJoin(builds, eq(builds.id, artifacts.buildId))
    .innerJoin(jobs, eq(jobs.buildId, builds.id))
    .innerJoin(leases, and(eq(leases.jobId, jobs.id), eq(leases.attempt, artifacts.attempt)))
    .leftJoin(buildSources, eq(buildSources.id, builds.buildSourceId))
    .where(and(eq(artifacts.id, artifactId), eq(artifacts.status, 'ready'), eq(jobs.status, 'succeeded')))
  return row ?? null
}

/** in-toto Statement v1 with SLSA Provenance v1; hash and size are what the control plane measured. */
function describe({ artifact, build, job, lease, source }: Facts, publicUrl: string) {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: artifact.fileName, digest: { sha256: artifact.sha256 } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: `${publicUrl}/provenance/build/v1`,
        externalParameters: {
          app: build.appId,
          platform: build.platform,
          type: build.type,
          gitRef: build.git.ref ?? null,
          environment: build.environmentId,
          native: build.native,
        },
        internalParameters: {
          organization: build.orgId,
          build: build.id,
          number: build.number,
          attempt: artifact.attempt,
          credential: build.credentialId && { id: build.credentialId, version: build.credentialVersion },
        },
        resolvedDependencies: source ? [describeSource(source, build.git)] : [],
      },
      runDetails: {
        builder: { id: `${publicUrl}/workers/${lease.workerId}` },
        metadata: {
          invocationId: `${build.id}/${artifact.attempt}`,
          startedOn: job.inProgressAt?.toISOString() ?? null,
          finishedOn: job.finishedAt?.toISOString() ?? null,
        },
      },
    },
  }
}

function describeSource(source: typeof buildSources.$inferSelect, git: Record<string, string>) {
  if (source.type === 'git') {
    const digest = git.commitSha ? { gitCommit: git.commitSha } : {}
    return { uri: `git+${source.remoteUrl}@${source.gitRef}`, digest }
  }
  const sha256 = source.sha256 ?? git.sha256
  const uri = source.remoteUrl?.replace(/\?.*$/, '') ?? `capstan:build-source/${source.id}`
  return { uri, digest: sha256 ? { sha256 } : {} }
}
