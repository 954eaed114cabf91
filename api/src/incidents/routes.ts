import { incidentClasses, incidentStates, noticeKinds, withIncidents } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Context as HonoContext } from 'hono'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Timestamp } from '../define-route.js'
import { assessIncident } from './assess-incident.js'
import { containIncident, containments } from './contain-incident.js'
import { giveNotice } from './give-notice.js'
import { listIncidents } from './list-incidents.js'
import { listIncidentNotices } from './list-notices.js'
import { moveIncident } from './move-incident.js'
import { openIncident } from './open-incident.js'
import {
  Incident,
  IncidentNotice,
  IncidentSummary,
  presentIncident,
  presentNotice,
  presentSummary,
} from './present-incident.js'
import { loadIncident } from './queries.js'

const Params = z.object({ incidentId: Id })
const Evidence = z.string().trim().min(1).max(10_000)

const openRoute = defineRoute({
  method: 'post',
  path: '/operator/v1/incidents',
  operationId: 'openIncident',
  summary: 'Begin an incident; its clock runs from when somebody knew',
  access: { kind: 'operator' },
  request: {
    body: jsonBody(
      z.object({
        title: z.string().trim().min(1).max(200),
        classes: z.array(z.enum(incidentClasses)).min(1),
        awareAt: Timestamp,
        evidence: Evidence,
      }),
    ),
  },
  responses: { 201: jsonResponse(Incident, 'The incident') },
})

const listRoute = defineRoute({
  method: 'get',
  path: '/operator/v1/incidents',
  operationId: 'listIncidents',
  summary: 'Incidents, newest first, also those that began by themselves',
  access: { kind: 'operator' },
  request: { query: PageQuery.extend({ state: z.enum(incidentStates).optional() }) },
  responses: { 200: jsonResponse(z.array(IncidentSummary), 'Incidents') },
})

const getRoute = defineRoute({
  method: 'get',
  path: '/operator/v1/incidents/{incidentId}',
  operationId: 'getIncident',
  summary: 'An incident with its steps, whom it concerns, and who was told what',
  access: { kind: 'operator' },
  request: { params: Params },
  responses: { 200: jsonResponse(Incident, 'The incident') },
})

const moveRoute = defineRoute({
  method: 'post',
  path: '/operator/v1/incidents/{incidentId}/steps',
  operationId: 'moveIncident',
  summary: 'The next state, with evidence for it',
  access: { kind: 'operator' },
  request: { params: Params, body: jsonBody(z.object({ state: z.enum(incidentStates), evidence: Evidence })) },
  responses: { 200: jsonResponse(Incident, 'The incident') },
})

const assessRoute = defineRoute({
  method: 'post',
  path: '/operator/v1/incidents/{incidentId}/assessment',
  operationId: 'assessIncident',
  summary: 'Compute from the audit logs whom an incident concerns',
  access: { kind: 'operator' },
  request: {
    params: Params,
    body: jsonBody(
      z.object({
        from: Timestamp,
        to: Timestamp,
        action: z.string().min(1).max(100).optional(),
        actor: z.string().min(1).max(100).optional(),
        target: z.string().min(1).max(200).optional(),
      }),
    ),
  },
  responses: { 200: jsonResponse(Incident, 'The incident') },
})

const containRoute = defineRoute({
  method: 'post',
  path: '/operator/v1/incidents/{incidentId}/containments',
  operationId: 'containIncident',
  summary: 'Stop tokens, updates, builds or a credential of an organization that is concerned',
  access: { kind: 'operator' },
  request: {
    params: Params,
    body: jsonBody(z.object({ organizationId: Id, action: z.enum(containments), credentialId: Id.optional() })),
  },
  responses: { 200: jsonResponse(z.object({ stopped: z.number().int() }), 'How much was stopped') },
})

const noticeRoute = defineRoute({
  method: 'post',
  path: '/operator/v1/incidents/{incidentId}/notices',
  operationId: 'giveIncidentNotice',
  summary: 'Tell every organization that is concerned',
  access: { kind: 'operator' },
  request: {
    params: Params,
    body: jsonBody(z.object({ kind: z.enum(noticeKinds), message: z.string().trim().min(1).max(20_000) })),
  },
  responses: { 201: jsonResponse(Incident, 'The incident') },
})

const listNoticesRoute = defineRoute({
  method: 'get',
  path: '/v1/organizations/{organizationId}/incident-notices',
  operationId: 'listIncidentNotices',
  summary: 'What the organization was told of incidents',
  access: { kind: 'organization', scope: 'organizations:read' },
  request: { params: z.object({ organizationId: Id }), query: PageQuery },
  responses: { 200: jsonResponse(z.array(IncidentNotice), 'Notices, newest first') },
})

const byOf = (c: HonoContext<Env>) => ({ operatorId: c.get('operator').operatorId, requestId: c.get('requestId') })

export function registerIncidentRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(openRoute, async (c) => {
    const { operatorId } = c.get('operator')
    return c.json(presentIncident(await openIncident(c.get('deps'), operatorId, c.req.valid('json'))), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, state } = c.req.valid('query')
    return c.json((await listIncidents(c.get('deps'), { state, limit, offset })).map(presentSummary), 200)
  })
  app.openapi(getRoute, async (c) => {
    const { incidentId } = c.req.valid('param')
    const loaded = await withIncidents(c.get('deps').db, (tx) => loadIncident(tx, incidentId))
    return c.json(presentIncident(loaded), 200)
  })
  app.openapi(moveRoute, async (c) => {
    const input = { ...c.req.valid('json'), ...c.req.valid('param') }
    return c.json(presentIncident(await moveIncident(c.get('deps'), c.get('operator').operatorId, input)), 200)
  })
  app.openapi(assessRoute, async (c) => {
    const input = { ...c.req.valid('json'), ...c.req.valid('param') }
    return c.json(presentIncident(await assessIncident(c.get('deps'), byOf(c), input)), 200)
  })
  app.openapi(containRoute, async (c) => {
    const input = { ...c.req.valid('json'), ...c.req.valid('param') }
    return c.json({ stopped: await containIncident(c.get('deps'), byOf(c), input) }, 200)
  })
  app.openapi(noticeRoute, async (c) => {
    const input = { ...c.req.valid('json'), ...c.req.valid('param') }
    return c.json(presentIncident(await giveNotice(c.get('deps'), byOf(c), input)), 201)
  })
  app.openapi(listNoticesRoute, async (c) => {
    const { limit = 50, offset = 0 } = c.req.valid('query')
    return c.json((await listIncidentNotices(c.get('ctx'), { limit, offset })).map(presentNotice), 200)
  })
}
