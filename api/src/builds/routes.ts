import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { whileAdmitted } from '../auth/while-admitted.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Relations } from '../define-route.js'
import { presentLog } from '../jobs/present-job.js'
import { readLog } from '../jobs/read-log.js'
import { streamJson } from '../stream-json.js'
import { BuildVariables, storableText } from './build-variables.js'
import { getBuild } from './get-build.js'
import { listBuilds } from './list-builds.js'
import { Build, presentBuild } from './present-build.js'
import { priorities, requestBuild } from './request-build.js'
import { updateBuild } from './update-build.js'

const platforms = ['android', 'ios', 'web'] as const
const BuildParams = z.object({ appId: Id, buildId: Id })
const Name = storableText(200).min(1).nullish()
const VersionCode = storableText(100).nullish()
// Every device that asks is sent them.
const CustomProperties = z
  .record(storableText(100).min(1), storableText(100))
  .refine((properties) => Object.keys(properties).length <= 10, 'at most 10 custom properties')

const requestBuildRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/builds',
  operationId: 'requestBuild',
  summary: 'Queue a build',
  access: { kind: 'app', scope: 'builds:write' },
  request: {
    params: z.object({ appId: Id }),
    body: jsonBody(
      z.object({
        platform: z.enum(platforms),
        type: storableText(40).nullish(),
        gitRef: storableText(500).nullish(),
        appBuildSourceId: Id.nullish(),
        appCertificateId: Id.nullish(),
        appCertificateName: Name,
        appEnvironmentId: Id.nullish(),
        appEnvironmentName: Name,
        appConfigurationId: Id.nullish(),
        appConfigurationName: Name,
        adHocEnvironmentVariables: BuildVariables.optional(),
        priority: z.enum(priorities).optional(),
        timeoutInMinutes: z.number().int().min(1).max(240).optional(),
        useCache: z.boolean().optional(),
      }),
    ),
  },
  responses: { 201: jsonResponse(Build, 'The build; follow its job') },
})

const listBuildsRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/builds',
  operationId: 'listBuilds',
  summary: 'Builds of an app, newest first',
  access: { kind: 'app', scope: 'builds:read' },
  request: {
    params: z.object({ appId: Id }),
    query: PageQuery.extend({
      numberAsString: z.coerce.number().int().min(1).max(2_147_483_647).optional(),
      platform: z.enum(platforms).optional(),
      relations: Relations,
    }),
  },
  responses: { 200: jsonResponse(z.array(Build), 'Builds') },
})

const getBuildRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/builds/{buildId}',
  operationId: 'getBuild',
  summary: 'One build',
  access: { kind: 'app', scope: 'builds:read' },
  request: { params: BuildParams, query: z.object({ relations: Relations }) },
  responses: { 200: jsonResponse(Build, 'The build') },
})

const updateBuildRoute = defineRoute({
  method: 'patch',
  path: '/v1/apps/{appId}/builds/{buildId}',
  operationId: 'updateBuild',
  summary: 'Change what is said about a build',
  access: { kind: 'app', scope: 'builds:write' },
  request: {
    params: BuildParams,
    body: jsonBody(
      z.object({
        customProperties: CustomProperties.optional(),
        displayName: Name,
        eqAndroidAppVersionCode: VersionCode,
        minAndroidAppVersionCode: VersionCode,
        maxAndroidAppVersionCode: VersionCode,
        eqIosAppVersionCode: VersionCode,
        minIosAppVersionCode: VersionCode,
        maxIosAppVersionCode: VersionCode,
      }),
    ),
  },
  responses: { 200: jsonResponse(Build, 'The build') },
})

export function registerBuildRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(requestBuildRoute, async (c) => {
    const loaded = await requestBuild(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentBuild(loaded), 201)
  })
  app.openapi(listBuildsRoute, async (c) => {
    const { numberAsString, platform, relations, limit = 50, offset = 0 } = c.req.valid('query')
    const { appId } = c.req.valid('param')
    const found = await listBuilds(c.get('ctx'), { appId, number: numberAsString, platform, limit, offset, relations })
    return c.json(
      found.map((loaded) => presentBuild(loaded, relations)),
      200,
    )
  })
  app.openapi(getBuildRoute, async (c) => {
    const { relations } = c.req.valid('query')
    const ctx = c.get('ctx')
    const loaded = await getBuild(ctx, c.req.valid('param'), relations)
    const build = presentBuild(loaded, relations)
    if (!relations.has('job.jobLogs') || !loaded.job) return c.json(build, 200)
    // The job was read before its lines, so a finished one is never shown without its last.
    const pages = presentLog(loaded.job.id, whileAdmitted(ctx, 'builds:read', readLog(ctx, loaded.job.id)))
    return streamJson((list) => ({ ...build, job: { ...build.job, jobLogs: list } }), pages)
  })
  app.openapi(updateBuildRoute, async (c) => {
    const loaded = await updateBuild(c.get('ctx'), { ...c.req.valid('json'), ...c.req.valid('param') })
    return c.json(presentBuild(loaded), 200)
  })
}
