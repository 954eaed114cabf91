import { builds, buildSources, jobs, newId, outbox, withOrg, type Transaction } from '@capstan/migrations'
import { BuildMessage } from '@capstan/migrations/messages'
import { and, eq } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { requireUsable } from '../credential-versions/pre-flight.js'
import { Problem } from '../problems.js'
import { chooseCertificate } from './choose-certificate.js'
import type { LoadedBuild } from './present-build.js'
import { takeBuildNumber } from './take-build-number.js'

const androidTypes = ['debug', 'release'] as const

export type RequestBuild = {
  appId: string
  platform: 'android' | 'ios' | 'web'
  type?: string | null | undefined
  gitRef?: string | null | undefined
  appBuildSourceId?: string | null | undefined
  appCertificateId?: string | null | undefined
  appCertificateName?: string | null | undefined
  appEnvironmentId?: string | null | undefined
  appEnvironmentName?: string | null | undefined
  appConfigurationId?: string | null | undefined
  appConfigurationName?: string | null | undefined
  adHocEnvironmentVariables?: Record<string, string> | undefined
}

/** A build, its job and the message that rings for a worker, in one transaction: all of them or none. */
export async function requestBuild(ctx: Context, input: RequestBuild): Promise<LoadedBuild> {
  requireScope(ctx, 'builds:write')
  const type = checkPlatform(input)
  refuseUnknownNames(input)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const source = await requireSource(tx, input)
    const certificate = await chooseCertificate(tx, input)
    if (input.platform === 'android' && type === 'release' && !certificate) {
      const hint = 'Name one with --certificate, or build the type "debug".'
      throw new Problem('certificate-missing', `A release build for Android is signed and needs a certificate. ${hint}`)
    }
    if (certificate) await requireUsable(tx, certificate, ctx.now())
    const number = await takeBuildNumber(tx, input.appId)
    const owner = { orgId: ctx.orgId, appId: input.appId, createdBy: ctx.actor.id }
    const [build] = await tx
      .insert(builds)
      .values({
        ...owner,
        id: newId(),
        number,
        platform: input.platform,
        type,
        buildSourceId: source.id,
        credentialId: certificate?.id ?? null,
        credentialVersion: certificate?.currentVersion ?? null,
        variables: input.adHocEnvironmentVariables ?? {},
      })
      .returning()
    if (!build) throw new Error('The build was not inserted.')
    const [job] = await tx
      .insert(jobs)
      .values({ ...owner, id: newId(), buildId: build.id })
      .returning()
    if (!job) throw new Error('The job was not inserted.')
    const payload: BuildMessage = BuildMessage.parse({ v: 1, orgId: ctx.orgId, buildId: build.id })
    await tx.insert(outbox).values({ orgId: ctx.orgId, topic: 'build.queued', payload })
    await recordAudit(tx, ctx, {
      action: 'build.created',
      target: { app: input.appId, build: build.id, job: job.id },
      data: {
        number,
        platform: input.platform,
        type,
        sourceSha256: source.sha256,
        credential: certificate ? { id: certificate.id, version: certificate.currentVersion } : null,
        variableNames: Object.keys(build.variables).sort(),
      },
    })
    return { build, job, artifactId: null }
  })
}

function checkPlatform({ platform, type }: RequestBuild): string | null {
  if (platform === 'ios') {
    const sentence = 'No worker builds for iOS: that needs macOS workers, which Capstan does not have yet.'
    throw new Problem('build-platform-unavailable', sentence)
  }
  if (platform === 'web') {
    if (type) throw new Problem('build-type-invalid', 'A web build has no type. Leave "type" away.')
    return null
  }
  const known = androidTypes.find((name) => name === (type ?? 'debug'))
  if (!known) throw new Problem('build-type-invalid', `Android builds are "debug" or "release", not "${type}".`)
  return known
}

function refuseUnknownNames(input: RequestBuild): void {
  const environment = input.appEnvironmentName ?? input.appEnvironmentId
  if (environment) throw new Problem('environment-unknown', `Environment with name "${environment}" not found.`)
  const configuration = input.appConfigurationName ?? input.appConfigurationId
  if (configuration) throw new Problem('configuration-unknown', `Configuration with name "${configuration}" not found.`)
}

async function requireSource(tx: Transaction, input: RequestBuild): Promise<{ id: string; sha256: string | null }> {
  if (!input.appBuildSourceId) {
    if (input.gitRef) {
      const sentence = 'Building from a git reference is not available yet. Upload the project with --path.'
      throw new Problem('git-source-unavailable', sentence)
    }
    throw new Problem('build-source-missing', 'The build has no source. Upload the project with --path.')
  }
  const [source] = await tx
    .select({ id: buildSources.id, status: buildSources.status, sha256: buildSources.sha256 })
    .from(buildSources)
    .where(and(eq(buildSources.id, input.appBuildSourceId), eq(buildSources.appId, input.appId)))
  if (!source)
    throw new Problem('build-source-missing', 'appBuildSourceId: this app has no such source. Upload it again.')
  if (source.status !== 'ready') {
    throw new Problem('build-source-not-ready', 'The source has not been uploaded completely. Finish the upload first.')
  }
  return source
}
