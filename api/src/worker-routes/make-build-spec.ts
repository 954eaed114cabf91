import type { BuildSourceSpec, BuildSpec } from '@capstan/migrations/messages'
import type { Context } from '../context.js'
import { MAX_LOG_BYTES } from '../jobs/append-log-lines.js'
import type { BuildParts } from './load-build-parts.js'

const SOURCE_URL_SECONDS = 30 * 60
const GIB = 1024 ** 3

/** The working folder of a build lies in memory, so its size is part of `memoryBytes`. */
const limits = { memoryBytes: 6 * GIB, cpus: 2, pids: 2048, diskBytes: 4 * GIB, logBytes: MAX_LOG_BYTES } as const

/** What a worker is told of a build: no secret, and a link to the source that works for a short time. */
export async function makeBuildSpec(ctx: Context, parts: BuildParts): Promise<BuildSpec> {
  const { build, credential } = parts
  return {
    buildId: build.id,
    appId: build.appId,
    orgId: build.orgId,
    number: build.number,
    platform: build.platform,
    type: build.type,
    variables: {
      ...build.variables,
      CI: 'true',
      CI_APP_ID: build.appId,
      CI_BUILD_ID: build.id,
      CI_BUILD_NUMBER: String(build.number),
      CI_PLATFORM: build.platform,
      ...(build.type ? { CI_BUILD_TYPE: build.type } : {}),
      ...(build.git.ref ? { CI_GIT_REF: build.git.ref } : {}),
    },
    hasSecretVariables: parts.hasSecretVariables,
    source: await makeSource(ctx, parts.source),
    overrides: build.native,
    egressHosts: parts.egressHosts,
    ...(parts.cache && { cache: parts.cache.mayWrite ? ('read-write' as const) : ('read' as const) }),
    signing: credential && {
      credentialId: credential.id,
      credentialVersion: credential.version,
      name: credential.name,
    },
    limits: { ...limits, wallClockMs: build.timeoutMinutes * 60_000 },
  }
}

async function makeSource(ctx: Context, source: BuildParts['source']): Promise<BuildSourceSpec> {
  if (source.kind !== 'archive') return source
  const { objectKey, sha256, sizeBytes } = source
  const url = await ctx.objects.signedGetUrl(objectKey, { expiresInSeconds: SOURCE_URL_SECONDS })
  return { kind: 'archive', url, sha256, sizeBytes }
}
