import { builds, jobs, newId, outbox, sealedValues, withOrg, type Transaction } from '@capstan/migrations'
import { BuildMessage } from '@capstan/migrations/messages'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { requireUsable } from '../credential-versions/pre-flight.js'
import { releasesAreCached } from '../dependency-caches/cache-place.js'
import { Problem } from '../problems.js'
import { sealValue } from '../sealed-values/seal-value.js'
import { chooseCertificate } from './choose-certificate.js'
import { chooseConfiguration, chooseEnvironment } from './choose-inputs.js'
import { chooseSource } from './choose-source.js'
import type { LoadedBuild } from './present-build.js'
import { requireMacWorker } from './require-worker.js'
import { takeBuildNumber } from './take-build-number.js'

const types = {
  android: ['debug', 'release'],
  ios: ['simulator', 'development', 'ad-hoc', 'app-store', 'enterprise'],
} as const

/** How much earlier a build of each priority comes than one of the same moment: so no build waits for ever. */
const HEAD_START_MS = { low: -15 * 60_000, normal: 0, high: 15 * 60_000 } as const
export const priorities = ['low', 'normal', 'high'] as const

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
  priority?: (typeof priorities)[number] | undefined
  timeoutInMinutes?: number | undefined
  useCache?: boolean | undefined
}

/** A build, its job and the message that rings for a worker, in one transaction: all of them or none. */
export async function requestBuild(ctx: Context, input: RequestBuild): Promise<LoadedBuild> {
  requireScope(ctx, 'builds:write')
  const type = checkType(input)
  if (input.platform === 'ios') await requireMacWorker(ctx)
  const buildId = newId()
  const sealed = await sealVariables(ctx, input, buildId)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const chosen = await choose(tx, ctx, { ...input, type })
    const { source, certificate, environment, configuration } = chosen
    const number = await takeBuildNumber(tx, input.appId)
    const owner = { orgId: ctx.orgId, appId: input.appId, createdBy: ctx.actor.id }
    const [build] = await tx
      .insert(builds)
      .values({
        ...owner,
        id: buildId,
        number,
        platform: input.platform,
        type,
        buildSourceId: source.id,
        credentialId: certificate?.id ?? null,
        credentialVersion: certificate?.currentVersion ?? null,
        environmentId: environment?.id ?? null,
        variables: environment?.variables ?? {},
        configurationId: configuration?.id ?? null,
        native: configuration?.native ?? {},
        git: source.gitRef ? { ref: source.gitRef } : {},
        // What a cache holds could end up in what customers sign: a release, or its app, asks for it.
        useCache: input.useCache ?? (!certificate || (await releasesAreCached(tx, input.appId))),
        timeoutMinutes: input.timeoutInMinutes ?? 60,
      })
      .returning()
    if (!build) throw new Error('The build was not inserted.')
    if (sealed) await tx.insert(sealedValues).values(sealed)
    const dueAt = new Date(ctx.now().getTime() - HEAD_START_MS[input.priority ?? 'normal'])
    const pool = input.platform === 'ios' ? 'macos' : 'standard'
    const [job] = await tx
      .insert(jobs)
      .values({ ...owner, id: newId(), buildId, dueAt, pool })
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
        source: source.type,
        sourceSha256: source.sha256,
        credential: certificate ? { id: certificate.id, version: certificate.currentVersion } : null,
        environment: environment?.id ?? null,
      },
      personal: {
        gitRef: source.gitRef,
        variableNames: namesIn(build.variables),
        ownVariableNames: namesIn(input.adHocEnvironmentVariables ?? {}),
      },
    })
    return { build, job, artifactId: null }
  })
}

function namesIn(variables: object): string[] | null {
  const names = Object.keys(variables).sort()
  return names.length > 0 ? names : null
}

async function choose(tx: Transaction, ctx: Context, input: RequestBuild & { type: string | null }) {
  const { appId } = input
  const ids = { environment: input.appEnvironmentId, configuration: input.appConfigurationId }
  const environment = await chooseEnvironment(tx, { appId, id: ids.environment, name: input.appEnvironmentName })
  const configuration = await chooseConfiguration(tx, {
    appId,
    id: ids.configuration,
    name: input.appConfigurationName,
  })
  const certificate = await chooseCertificate(tx, input)
  if (isSigned(input) && !certificate) {
    const other = input.platform === 'ios' ? 'simulator' : 'debug'
    const platform = input.platform === 'ios' ? 'iOS' : 'Android'
    const sentence = `A ${input.type} build for ${platform} is signed and needs a certificate.`
    throw new Problem('certificate-missing', `${sentence} Name one with --certificate, or build the type "${other}".`)
  }
  const target = { type: input.type, bundleId: configuration?.native.packageName }
  if (certificate) await requireUsable(tx, certificate, target, ctx.now())
  return { environment, configuration, certificate, source: await chooseSource(tx, ctx, input) }
}

const isSigned = ({ platform, type }: RequestBuild) =>
  (platform === 'android' && type === 'release') || (platform === 'ios' && type !== 'simulator')

/** Variables that a build brings along may be secrets: they lie encrypted, and only its own lease has them opened. */
async function sealVariables(ctx: Context, { appId, adHocEnvironmentVariables }: RequestBuild, buildId: string) {
  const variables = adHocEnvironmentVariables ?? {}
  if (Object.keys(variables).length === 0) return null
  return sealValue(ctx, { appId, buildId }, { name: 'variables', text: JSON.stringify(variables) })
}

function checkType({ platform, type }: RequestBuild): string | null {
  if (platform === 'web') {
    if (type) throw new Problem('build-type-invalid', 'A web build has no type. Leave "type" away.')
    return null
  }
  const known: readonly string[] = types[platform]
  const chosen = type ?? known[0] ?? null
  if (chosen !== null && known.includes(chosen)) return chosen
  const list = known.map((name) => `"${name}"`).join(', ')
  throw new Problem('build-type-invalid', `Builds for ${platform} are one of ${list}, not "${type}".`)
}
