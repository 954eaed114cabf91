import type { artifacts, builds, jobs } from '@capstan/migrations'
import { z } from '@hono/zod-openapi'
import { Artifact, presentArtifact } from '../artifacts/present-artifact.js'
import { Id, Timestamp } from '../define-route.js'
import { Job, presentJob, presentUploadJob } from '../jobs/present-job.js'

/** Native versions that a web build fits, as the CLI names them. */
export const constraintNames = [
  'eqAndroidAppVersionCode',
  'minAndroidAppVersionCode',
  'maxAndroidAppVersionCode',
  'eqIosAppVersionCode',
  'minIosAppVersionCode',
  'maxIosAppVersionCode',
] as const

const Constraint = z.string().nullable()

export const Build = z
  .object({
    id: Id,
    appId: Id,
    jobId: Id.nullable(),
    numberAsString: z.string(),
    platform: z.enum(['android', 'ios', 'web']),
    type: z.string().nullable(),
    displayName: z.string().nullable(),
    packageName: z.string().nullable(),
    packageVersion: z.string().nullable(),
    appBuildArtifactId: Id.nullable(),
    appBuildSourceId: Id.nullable(),
    appCertificateId: Id.nullable(),
    appConfigurationId: Id.nullable(),
    appEnvironmentId: Id.nullable(),
    gitRef: z.string().nullable(),
    gitCommitSha: z.string().nullable(),
    gitCommitMessage: z.string().nullable(),
    customProperties: z.record(z.string(), z.string()),
    eqAndroidAppVersionCode: Constraint,
    minAndroidAppVersionCode: Constraint,
    maxAndroidAppVersionCode: Constraint,
    eqIosAppVersionCode: Constraint,
    minIosAppVersionCode: Constraint,
    maxIosAppVersionCode: Constraint,
    createdBy: Id.nullable(),
    createdAt: Timestamp,
    updatedAt: Timestamp,
    job: Job.optional(),
    appBuildArtifacts: z.array(Artifact).optional(),
  })
  .openapi('AppBuild')

/** A build with what belongs to it; `files` are there when they were asked for. */
export type LoadedBuild = {
  build: typeof builds.$inferSelect
  job: typeof jobs.$inferSelect | null
  artifactId: string | null
  files?: (typeof artifacts.$inferSelect)[]
}

export function presentBuild(loaded: LoadedBuild, relations: ReadonlySet<string> = new Set()): z.infer<typeof Build> {
  const { build, job, files } = loaded
  return {
    id: build.id,
    appId: build.appId,
    jobId: job?.id ?? null,
    numberAsString: String(build.number),
    platform: build.platform,
    type: build.type,
    displayName: build.displayName,
    packageName: build.packageName,
    packageVersion: null,
    appBuildArtifactId: loaded.artifactId,
    appBuildSourceId: build.buildSourceId,
    appCertificateId: build.credentialId,
    appConfigurationId: build.configurationId,
    appEnvironmentId: build.environmentId,
    gitRef: build.git.ref ?? null,
    gitCommitSha: build.git.commitSha ?? null,
    gitCommitMessage: build.git.commitMessage ?? null,
    customProperties: build.customProperties,
    ...constraintsOf(build),
    createdBy: build.createdBy,
    createdAt: build.createdAt.toISOString(),
    updatedAt: build.updatedAt.toISOString(),
    ...(relations.has('job') || relations.has('job.jobLogs')
      ? { job: job ? presentJob(job) : presentUploadJob(build) }
      : {}),
    ...(files ? { appBuildArtifacts: files.map(presentArtifact) } : {}),
  }
}

function constraintsOf(build: typeof builds.$inferSelect) {
  return Object.fromEntries(constraintNames.map((name) => [name, build.constraints[name] ?? null])) as Record<
    (typeof constraintNames)[number],
    string | null
  >
}
