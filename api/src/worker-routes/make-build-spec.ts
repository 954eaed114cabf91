import type { BuildSpec } from '@capstan/migrations/messages'
import type { Context } from '../context.js'
import type { BuildParts } from './load-build-parts.js'

const SOURCE_URL_SECONDS = 30 * 60
const GIB = 1024 ** 3

/** The working folder of a build lies in memory, so its size is part of `memoryBytes`. */
const limits = { memoryBytes: 6 * GIB, cpus: 2, pids: 2048, diskBytes: 4 * GIB, wallClockMs: 60 * 60_000 } as const

/** What a worker is told of a build: no secret, and a link to the source that works for a short time. */
export async function makeBuildSpec(ctx: Context, { build, source, credential }: BuildParts): Promise<BuildSpec> {
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
    },
    source: {
      url: await ctx.objects.signedGetUrl(source.objectKey, { expiresInSeconds: SOURCE_URL_SECONDS }),
      sha256: source.sha256,
      sizeBytes: source.sizeBytes,
    },
    signing: credential && {
      credentialId: credential.id,
      credentialVersion: credential.version,
      name: credential.name,
    },
    limits,
  }
}
