import { jobStatuses } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import { streamSSE } from 'hono/streaming'
import { contextFor, type Env } from '../auth/access.js'
import { whileAdmitted } from '../auth/while-admitted.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Relations } from '../define-route.js'
import { attachmentNamed } from '../objects/attachment-named.js'
import { Problem } from '../problems.js'
import { streamJson, streamText } from '../stream-json.js'
import { cancelJob } from './cancel-job.js'
import { followLog, type LogEvent } from './follow-log.js'
import { getJob } from './get-job.js'
import { listJobs } from './list-jobs.js'
import { listLogLines } from './list-log-lines.js'
import { Job, JobLog, presentJob, presentLog, presentLogLine } from './present-job.js'
import { readLog } from './read-log.js'
import { textOfLog } from './text-of-log.js'
import { summarizeFailure } from './summarize-failure.js'

const JobParams = z.object({ jobId: Id })
const LineNumber = z.coerce.number().int().min(0).max(2_147_483_647)
const LineLimit = z.coerce.number().int().min(1).max(100_000)
const Statuses = z
  .string()
  .transform((text) => text.split(',').filter(Boolean))
  .pipe(z.array(z.enum(jobStatuses)))

const getJobRoute = defineRoute({
  method: 'get',
  path: '/v1/jobs/{jobId}',
  operationId: 'getJob',
  summary: 'One job, with its log when relations=jobLogs',
  access: { kind: 'job', scope: 'builds:read' },
  request: { params: JobParams, query: z.object({ relations: Relations }) },
  responses: { 200: jsonResponse(Job, 'The job') },
})

const updateJobRoute = defineRoute({
  method: 'patch',
  path: '/v1/jobs/{jobId}',
  operationId: 'updateJob',
  summary: 'Cancel a job',
  access: { kind: 'job', scope: 'builds:write' },
  request: { params: JobParams, body: jsonBody(z.object({ status: z.literal('canceled') })) },
  responses: { 200: jsonResponse(Job, 'The job') },
})

const listJobsRoute = defineRoute({
  method: 'get',
  path: '/v1/jobs',
  operationId: 'listJobs',
  summary: 'Jobs of an organization, newest first',
  access: { kind: 'principal' },
  request: { query: PageQuery.extend({ organizationId: Id.optional(), status: Statuses.optional() }) },
  responses: { 200: jsonResponse(z.array(Job), 'Jobs') },
})

const listLogsRoute = defineRoute({
  method: 'get',
  path: '/v1/jobs/{jobId}/logs',
  operationId: 'listJobLogs',
  summary: 'Lines of a job after number "after"; all of them, or the next "limit"',
  access: { kind: 'job', scope: 'builds:read' },
  request: { params: JobParams, query: z.object({ after: LineNumber.default(0), limit: LineLimit.optional() }) },
  responses: { 200: jsonResponse(z.array(JobLog), 'Lines') },
})

const downloadLogRoute = defineRoute({
  method: 'get',
  path: '/v1/jobs/{jobId}/logs/download',
  operationId: 'downloadJobLog',
  summary: 'The whole log as text, line by line as it is kept',
  access: { kind: 'job', scope: 'builds:read' },
  request: { params: JobParams },
  responses: { 200: { description: 'The log', content: { 'text/plain': { schema: z.string() } } } },
})

const streamLogsRoute = defineRoute({
  method: 'get',
  path: '/v1/jobs/{jobId}/logs/stream',
  operationId: 'streamJobLogs',
  summary: 'Lines of a job as they come (server-sent events); resumes at Last-Event-ID',
  access: { kind: 'job', scope: 'builds:read' },
  request: {
    params: JobParams,
    query: z.object({ after: LineNumber.default(0) }),
    headers: z.object({ 'last-event-id': LineNumber.optional() }),
  },
  responses: {
    200: { description: 'Events "line" and "end"', content: { 'text/event-stream': { schema: z.string() } } },
  },
})

const failureSummaryRoute = defineRoute({
  method: 'post',
  path: '/v1/jobs/{jobId}/failure-summary',
  operationId: 'summarizeJobFailure',
  summary: 'Why a job failed, in a few lines',
  access: { kind: 'job', scope: 'builds:read' },
  request: { params: JobParams },
  responses: { 200: jsonResponse(z.object({ summary: z.string() }), 'The reason') },
})

export function registerJobRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(listJobsRoute, async (c) => {
    const { organizationId, status = [], limit = 50, offset = 0 } = c.req.valid('query')
    const principal = c.get('principal')
    const orgId = organizationId ?? (principal.kind === 'token' ? principal.orgId : undefined)
    if (!orgId) throw new Problem('organization-needed', 'Add ?organizationId= to say which organization you mean.')
    const found = await listJobs(await contextFor(c, principal, orgId), { statuses: status, limit, offset })
    return c.json(
      found.map((job) => presentJob(job)),
      200,
    )
  })
  app.openapi(getJobRoute, async (c) => {
    const { jobId } = c.req.valid('param')
    const job = presentJob(await getJob(c.get('ctx'), jobId))
    if (!c.req.valid('query').relations.has('jobLogs')) return c.json(job, 200)
    // The job was read before its lines, so a finished one is never shown without its last.
    const pages = presentLog(jobId, whileAdmitted(c.get('ctx'), 'builds:read', readLog(c.get('ctx'), jobId)))
    return streamJson((list) => ({ ...job, jobLogs: list }), pages)
  })
  app.openapi(updateJobRoute, async (c) =>
    c.json(presentJob(await cancelJob(c.get('ctx'), c.req.valid('param').jobId)), 200),
  )
  app.openapi(failureSummaryRoute, async (c) =>
    c.json({ summary: await summarizeFailure(c.get('ctx'), c.req.valid('param').jobId) }, 200),
  )
  registerLogRoutes(app)
}

function registerLogRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(listLogsRoute, async (c) => {
    const { jobId } = c.req.valid('param')
    const pages = await listLogLines(c.get('ctx'), { jobId, ...c.req.valid('query') })
    return streamJson((list) => list, presentLog(jobId, pages))
  })
  app.openapi(downloadLogRoute, async (c) => {
    const { jobId } = c.req.valid('param')
    const pages = await listLogLines(c.get('ctx'), { jobId, after: 0 })
    return streamText(textOfLog(pages), {
      'content-disposition': attachmentNamed(`job-${jobId}.log`),
      'x-content-type-options': 'nosniff',
      // A build writes what it likes: a browser keeps it as a file and runs none of it.
      'content-security-policy': "default-src 'none'; sandbox",
      'cache-control': 'private, no-store',
    })
  })
  app.openapi(streamLogsRoute, (c) => {
    const ctx = c.get('ctx')
    const { jobId } = c.req.valid('param')
    const after = c.req.valid('header')['last-event-id'] ?? c.req.valid('query').after
    c.header('x-accel-buffering', 'no')
    return streamSSE(c, async (out) => {
      const gone = new AbortController()
      out.onAbort(() => gone.abort())
      try {
        for await (const event of followLog(ctx, jobId, after, gone.signal)) {
          if (event.kind === 'idle') await out.write(': waiting\n\n')
          else await out.writeSSE(toServerEvent(jobId, event))
        }
      } catch (error) {
        // Hono would send or print the message, which is the failed query. Without "end" a reader comes back.
        ctx.log.error({ err: error, jobId, requestId: ctx.requestId }, 'a live log broke off')
      }
    })
  })
}

function toServerEvent(jobId: string, event: Exclude<LogEvent, { kind: 'idle' }>) {
  if (event.kind === 'end') {
    const { kind: _, ...end } = event
    return { event: 'end', data: JSON.stringify(end) }
  }
  return { event: 'line', id: String(event.line.number), data: JSON.stringify(presentLogLine(jobId, event.line)) }
}
