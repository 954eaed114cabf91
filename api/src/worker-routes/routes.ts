import {
  ArtifactDeclaration,
  ArtifactUpload,
  CacheAnswer,
  CacheDeclaration,
  CacheQuestion,
  CacheReport,
  CacheUpload,
  Claim,
  ClaimRequest,
  FinishReport,
  HeartbeatResponse,
  LogBatch,
  PhasesBody,
  SourceReport,
  WaitingReport,
  WorkerReport,
  WorkerReportAnswer,
} from '@capstan/migrations/messages'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse } from '../define-route.js'
import { appendLogs } from './append-logs.js'
import { claimBuild } from './claim-build.js'
import { declareArtifact } from './declare-artifact.js'
import { declareCache } from './declare-cache.js'
import { extendLease } from './extend-lease.js'
import { finalizeArtifact } from './finalize-artifact.js'
import { finalizeCache } from './finalize-cache.js'
import { findCache } from './find-cache.js'
import { finishBuild } from './finish-build.js'
import { recordCache } from './record-cache.js'
import { recordPhases } from './record-phases.js'
import { recordSource } from './record-source.js'
import { reportWaiting } from './report-waiting.js'
import { reportWorker } from './report-worker.js'

const BuildParams = z.object({ buildId: Id })
const stored = { 204: { description: 'Stored' } } as const

const reportRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/report',
  operationId: 'reportWorker',
  summary: 'Say what the worker can do, at its start and again from time to time',
  access: { kind: 'worker' },
  request: { body: jsonBody(WorkerReport) },
  responses: { 200: jsonResponse(WorkerReportAnswer, 'When to say it again, and where to take builds from') },
})

const claimRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/builds/{buildId}/claim',
  operationId: 'claimBuild',
  summary: 'Take a waiting build',
  access: { kind: 'worker' },
  request: { params: BuildParams, body: jsonBody(ClaimRequest) },
  responses: { 200: jsonResponse(Claim, 'A lease of one attempt, and what to build') },
})

const waitingRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/builds/{buildId}/waiting',
  operationId: 'reportWaiting',
  summary: 'Say why a delivered build does not start',
  access: { kind: 'worker' },
  request: { params: BuildParams, body: jsonBody(WaitingReport) },
  responses: stored,
})

const heartbeatRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/heartbeat',
  operationId: 'extendLease',
  summary: 'Keep the lease',
  access: { kind: 'lease' },
  responses: { 200: jsonResponse(HeartbeatResponse, 'Until when, and whether to stop') },
})

const sourceRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/source',
  operationId: 'recordSource',
  summary: 'What was fetched from git or from a URL',
  access: { kind: 'lease' },
  request: { body: jsonBody(SourceReport) },
  responses: stored,
})

const phasesRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/phases',
  operationId: 'recordPhases',
  summary: 'Phases started or ended',
  access: { kind: 'lease' },
  request: { body: jsonBody(PhasesBody) },
  responses: stored,
})

const logsRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/logs',
  operationId: 'appendLogs',
  summary: 'Add lines to the log',
  access: { kind: 'lease' },
  request: { body: jsonBody(LogBatch) },
  responses: stored,
})

const artifactRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/artifacts',
  operationId: 'declareArtifact',
  summary: 'Announce an artefact and learn where to PUT it',
  access: { kind: 'lease' },
  request: { body: jsonBody(ArtifactDeclaration) },
  responses: { 201: jsonResponse(ArtifactUpload, 'Where the bytes go') },
})

const finalizeRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/artifacts/{artifactId}/finalize',
  operationId: 'finalizeArtifact',
  summary: 'Have the uploaded bytes compared',
  access: { kind: 'lease' },
  request: { params: z.object({ artifactId: Id }) },
  responses: stored,
})

const findCacheRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/caches/find',
  operationId: 'findCache',
  summary: 'Ask for the cache of dependencies that fits the build',
  access: { kind: 'lease' },
  request: { body: jsonBody(CacheQuestion) },
  responses: { 200: jsonResponse(CacheAnswer, 'The cache, or whether one may be left') },
})

const declareCacheRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/caches',
  operationId: 'declareCache',
  summary: 'Announce a cache for the next build and learn where to PUT it',
  access: { kind: 'lease' },
  request: { body: jsonBody(CacheDeclaration) },
  responses: { 201: jsonResponse(CacheUpload, 'Where the bytes go') },
})

const finalizeCacheRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/caches/{cacheId}/finalize',
  operationId: 'finalizeCache',
  summary: 'Have the uploaded cache compared',
  access: { kind: 'lease' },
  request: { params: z.object({ cacheId: Id }) },
  responses: stored,
})

const reportCacheRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/caches/report',
  operationId: 'recordCache',
  summary: 'What the cache took and saved',
  access: { kind: 'lease' },
  request: { body: jsonBody(CacheReport) },
  responses: stored,
})

const finishRoute = defineRoute({
  method: 'post',
  path: '/worker/v1/lease/finish',
  operationId: 'finishBuild',
  summary: 'End the attempt',
  access: { kind: 'lease' },
  request: { body: jsonBody(FinishReport) },
  responses: stored,
})

export function registerWorkerRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(reportRoute, async (c) =>
    c.json(await reportWorker(c.get('deps'), c.get('worker'), c.req.valid('json')), 200),
  )
  app.openapi(claimRoute, async (c) => {
    const { buildId } = c.req.valid('param')
    const { workerId } = c.get('worker')
    const requestId = c.get('requestId')
    return c.json(await claimBuild(c.get('deps'), { buildId, workerId, requestId, request: c.req.valid('json') }), 200)
  })
  app.openapi(waitingRoute, async (c) => {
    await reportWaiting(c.get('deps'), { buildId: c.req.valid('param').buildId, report: c.req.valid('json') })
    return c.body(null, 204)
  })
  app.openapi(heartbeatRoute, async (c) => c.json(await extendLease(c.get('ctx'), c.get('lease')), 200))
  app.openapi(sourceRoute, async (c) => {
    await recordSource(c.get('ctx'), c.get('lease'), c.req.valid('json'))
    return c.body(null, 204)
  })
  app.openapi(phasesRoute, async (c) => {
    await recordPhases(c.get('ctx'), c.get('lease'), [c.req.valid('json')].flat())
    return c.body(null, 204)
  })
  app.openapi(logsRoute, async (c) => {
    await appendLogs(c.get('ctx'), c.get('lease'), c.req.valid('json'))
    return c.body(null, 204)
  })
  app.openapi(artifactRoute, async (c) =>
    c.json(await declareArtifact(c.get('ctx'), c.get('lease'), c.req.valid('json')), 201),
  )
  app.openapi(finalizeRoute, async (c) => {
    await finalizeArtifact(c.get('ctx'), c.get('lease'), c.req.valid('param').artifactId)
    return c.body(null, 204)
  })
  registerCacheRoutes(app)
  app.openapi(finishRoute, async (c) => {
    await finishBuild(c.get('ctx'), c.get('lease'), c.req.valid('json'))
    return c.body(null, 204)
  })
}

function registerCacheRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(findCacheRoute, async (c) =>
    c.json(await findCache(c.get('ctx'), c.get('lease'), c.req.valid('json')), 200),
  )
  app.openapi(declareCacheRoute, async (c) =>
    c.json(await declareCache(c.get('ctx'), c.get('lease'), c.req.valid('json')), 201),
  )
  app.openapi(finalizeCacheRoute, async (c) => {
    await finalizeCache(c.get('ctx'), c.get('lease'), c.req.valid('param').cacheId)
    return c.body(null, 204)
  })
  app.openapi(reportCacheRoute, async (c) => {
    await recordCache(c.get('ctx'), c.get('lease'), c.req.valid('json'))
    return c.body(null, 204)
  })
}
