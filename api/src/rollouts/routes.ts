import { rolloutStatuses } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { plainText } from '../channels/plain-text.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery } from '../define-route.js'
import { Problem } from '../problems.js'
import { createRollout } from './create-rollout.js'
import { getRollout, listRollouts } from './list-rollouts.js'
import { presentDetails, presentRollout, Rollout, RolloutWithDecisions } from './present-rollout.js'
import { abortRollout, pauseRollout, resumeRollout } from './steer-rollout.js'

const MINUTE_MS = 60_000
const MAX_DWELL_MINUTES = 30 * 24 * 60
const AppPath = z.object({ appId: Id })
const RolloutPath = z.object({ appId: Id, rolloutId: Id })

const Step = z.object({
  percentage: z.number().gt(0).max(1),
  dwellMinutes: z.number().min(0).max(MAX_DWELL_MINUTES).default(60),
})
const DEFAULT_STEPS = [0.01, 0.05, 0.25, 1].map((percentage) => ({ percentage, dwellMinutes: 60 }))

const HaltRule = z.object({
  falseAlarms: z.number().min(1e-9).max(0.5).default(0.01).openapi({
    description: 'The chance that a rollout no worse than what it replaces is ever halted.',
  }),
  tolerance: z.number().min(0).max(1).default(0.005).openapi({
    description: 'The share of launches by which the candidate may fail more often than the control.',
  }),
  ceiling: z.number().gt(0).max(1).default(0.2).openapi({
    description: 'The share of failed launches that is too many whatever the control does.',
  }),
  minimumLaunches: z.number().int().min(0).max(1_000_000_000).default(0).openapi({
    description: 'So many launches must be reported before a step is left. Official plugins report none.',
  }),
})

const CreateBody = z.object({
  appBuildId: Id,
  appChannelName: plainText(200).min(1).optional(),
  appChannelId: Id.optional(),
  startsAt: z.iso.datetime({ offset: true }).optional().openapi({ description: 'Absent or past: at once.' }),
  steps: z.array(Step).min(1).max(50).default(DEFAULT_STEPS).openapi({
    description: 'Shares of devices, each larger than the one before; one step of 1 is a scheduled deployment.',
  }),
  haltRule: HaltRule.default(HaltRule.parse({})),
})

const createRoute = defineRoute({
  method: 'post',
  path: '/v1/apps/{appId}/rollouts',
  operationId: 'createRollout',
  summary: 'Deploy a bundle at a time and in steps, halted when launches fail',
  access: { kind: 'app', scope: 'deployments:write', perChannel: true },
  request: { params: AppPath, body: jsonBody(CreateBody) },
  responses: { 201: jsonResponse(Rollout, 'The rollout') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/rollouts',
  operationId: 'listRollouts',
  summary: 'Rollouts, newest first',
  access: { kind: 'app', scope: 'deployments:read', perChannel: true },
  request: {
    params: AppPath,
    query: PageQuery.extend({ appChannelId: Id.optional(), status: z.enum(rolloutStatuses).optional() }),
  },
  responses: { 200: jsonResponse(z.array(Rollout), 'Rollouts') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/v1/apps/{appId}/rollouts/{rolloutId}',
  operationId: 'getRollout',
  summary: 'One rollout, why it is where it is, and what the numbers say now',
  access: { kind: 'app', scope: 'deployments:read', perChannel: true },
  request: { params: RolloutPath },
  responses: { 200: jsonResponse(RolloutWithDecisions, 'The rollout') },
})

const steering = <Verb extends 'pause' | 'resume' | 'abort'>(verb: Verb, summary: string) =>
  defineRoute({
    method: 'post',
    path: `/v1/apps/{appId}/rollouts/{rolloutId}/${verb}`,
    operationId: `${verb}Rollout`,
    summary,
    access: { kind: 'app', scope: 'deployments:write', perChannel: true },
    request: { params: RolloutPath },
    responses: { 200: jsonResponse(Rollout, 'The rollout') },
  })

const pauseRoute = steering('pause', 'Take no further step; the share of devices stays')
const resumeRoute = steering('resume', 'Go on with the step it stopped at')
const abortRoute = steering('abort', 'Give it to no device any more')

export function registerRolloutRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const { appBuildId, startsAt, steps, haltRule, ...channel } = c.req.valid('json')
    const created = await createRollout(c.get('ctx'), {
      appId: c.req.valid('param').appId,
      appBuildId,
      channel: channelOf(channel),
      startsAt: startsAt === undefined ? undefined : new Date(startsAt),
      steps: steps.map(({ percentage, dwellMinutes }) => ({ percentage, dwellMs: dwellMinutes * MINUTE_MS })),
      haltRule,
    })
    return c.json(presentRollout(created), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, ...filters } = c.req.valid('query')
    const found = await listRollouts(c.get('ctx'), { ...filters, ...c.req.valid('param'), limit, offset })
    return c.json(found.map(presentRollout), 200)
  })
  app.openapi(getRoute, async (c) => c.json(presentDetails(await getRollout(c.get('ctx'), c.req.valid('param'))), 200))
  app.openapi(pauseRoute, async (c) =>
    c.json(presentRollout(await pauseRollout(c.get('ctx'), c.req.valid('param'))), 200),
  )
  app.openapi(resumeRoute, async (c) =>
    c.json(presentRollout(await resumeRollout(c.get('ctx'), c.req.valid('param'))), 200),
  )
  app.openapi(abortRoute, async (c) =>
    c.json(presentRollout(await abortRollout(c.get('ctx'), c.req.valid('param'))), 200),
  )
}

function channelOf({
  appChannelId,
  appChannelName,
}: Pick<z.infer<typeof CreateBody>, 'appChannelId' | 'appChannelName'>) {
  if (appChannelId) return { id: appChannelId }
  if (appChannelName) return { name: appChannelName }
  throw new Problem('request-invalid', 'appChannelName: say which channel the build goes to.')
}
