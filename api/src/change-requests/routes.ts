import { changeRequestStates } from '@capstan/migrations'
import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { plainText } from '../channels/plain-text.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery, Timestamp } from '../define-route.js'
import { approveChange } from './approve-change.js'
import { attestChange } from './attest-change.js'
import { cancelChange, rejectChange } from './end-request.js'
import { getRequest, listRequests } from './list-requests.js'
import { allowSoleOperator, type DutiesPolicy, endSoleOperator, getDuties, setDuties } from './policy.js'
import { ChangeRequest, ChangeRequestWithSteps, presentRequest, presentWithSteps } from './present-request.js'
import { reconcileChange } from './reconcile-change.js'

const organization = z.object({ organizationId: Id })
const path = '/v1/organizations/{organizationId}/change-requests'
const params = organization.extend({ changeRequestId: Id })
const Reason = plainText(1000).trim().min(1)

const listRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listChangeRequests',
  summary: 'Changes that need or had a second person, newest first',
  access: { kind: 'organization', scope: 'change-requests:read', perApp: true },
  request: {
    params: organization,
    query: PageQuery.extend({ state: z.enum(changeRequestStates).optional(), appId: Id.optional() }),
  },
  responses: { 200: jsonResponse(z.array(ChangeRequest), 'Change requests') },
})

const getRoute = defineRoute({
  method: 'get',
  path: `${path}/{changeRequestId}`,
  operationId: 'getChangeRequest',
  summary: 'One change request, what it consents to, and who did what with it',
  access: { kind: 'organization', scope: 'change-requests:read', perApp: true },
  request: { params },
  responses: { 200: jsonResponse(ChangeRequestWithSteps, 'The change request') },
})

const approveRoute = defineRoute({
  method: 'post',
  path: `${path}/{changeRequestId}/approve`,
  operationId: 'approveChangeRequest',
  summary: 'Approve exactly what a change request says; never what you asked for yourself',
  access: { kind: 'organization', scope: 'change-requests:approve' },
  request: { params, body: jsonBody(z.object({ reason: Reason.optional() })) },
  responses: { 200: jsonResponse(ChangeRequest, 'Approved') },
})

const rejectRoute = defineRoute({
  method: 'post',
  path: `${path}/{changeRequestId}/reject`,
  operationId: 'rejectChangeRequest',
  summary: 'Refuse a change request, or what was done at once',
  // Saying no never waits for a second factor.
  access: { kind: 'organization', scope: 'change-requests:approve', stepUp: 'never' },
  request: { params, body: jsonBody(z.object({ reason: Reason })) },
  responses: { 200: jsonResponse(ChangeRequest, 'Rejected') },
})

const cancelRoute = defineRoute({
  method: 'post',
  path: `${path}/{changeRequestId}/cancel`,
  operationId: 'cancelChangeRequest',
  summary: 'Take back your own change request',
  access: { kind: 'organization', scope: 'change-requests:write', perApp: true },
  request: { params },
  responses: { 200: jsonResponse(ChangeRequest, 'Canceled') },
})

const attestRoute = defineRoute({
  method: 'post',
  path: `${path}/{changeRequestId}/attest`,
  operationId: 'attestChangeRequest',
  summary: 'State that what went out is what was approved; never of what you did yourself',
  access: { kind: 'organization', scope: 'change-requests:approve' },
  request: { params, body: jsonBody(z.object({ note: Reason.optional() })) },
  responses: { 200: jsonResponse(ChangeRequest, 'Attested') },
})

const reconcileRoute = defineRoute({
  method: 'post',
  path: `${path}/{changeRequestId}/reconcile`,
  operationId: 'reconcileChangeRequest',
  summary: 'Have what there is now compared with what was approved; never of what you did yourself',
  access: { kind: 'organization', scope: 'change-requests:approve' },
  request: { params },
  responses: { 200: jsonResponse(ChangeRequest, 'With the verdict') },
})

const dutiesPath = '/v1/organizations/{organizationId}/separation-of-duties'
const Duties = z
  .object({
    enabled: z.boolean(),
    approvers: z.number().int().openapi({ description: 'How many people may approve.' }),
    soleOperator: z.object({ until: Timestamp, reason: z.string() }).nullable(),
  })
  .openapi('SeparationOfDuties')

const getDutiesRoute = defineRoute({
  method: 'get',
  path: dutiesPath,
  operationId: 'getSeparationOfDuties',
  summary: 'Whether sensitive changes need a second person',
  access: { kind: 'organization', scope: 'change-requests:read' },
  request: { params: organization },
  responses: { 200: jsonResponse(Duties, 'The policy') },
})

const setDutiesRoute = defineRoute({
  method: 'patch',
  path: dutiesPath,
  operationId: 'setSeparationOfDuties',
  summary: 'Demand a second person for sensitive changes; to stop demanding it needs one',
  access: { kind: 'organization', scope: 'policies:write' },
  request: { params: organization, body: jsonBody(z.object({ enabled: z.boolean() })) },
  responses: { 200: jsonResponse(Duties, 'The policy') },
})

const allowSoleOperatorRoute = defineRoute({
  method: 'put',
  path: `${dutiesPath}/sole-operator`,
  operationId: 'allowSoleOperator',
  summary: 'Let the only approver there is approve alone, for a while and with a reason',
  access: { kind: 'organization', scope: 'policies:write' },
  request: {
    params: organization,
    body: jsonBody(z.object({ reason: plainText(1000).trim().min(10), days: z.number().int().min(1).max(90) })),
  },
  responses: { 200: jsonResponse(Duties, 'The policy') },
})

const endSoleOperatorRoute = defineRoute({
  method: 'delete',
  path: `${dutiesPath}/sole-operator`,
  operationId: 'endSoleOperator',
  summary: 'End the exception for the only approver',
  access: { kind: 'organization', scope: 'policies:write', stepUp: 'never' },
  request: { params: organization },
  responses: { 200: jsonResponse(Duties, 'The policy') },
})

export function registerChangeRequestRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0, ...filters } = c.req.valid('query')
    return c.json((await listRequests(c.get('ctx'), { ...filters, limit, offset })).map(presentRequest), 200)
  })
  app.openapi(getRoute, async (c) => {
    const { request, steps } = await getRequest(c.get('ctx'), c.req.valid('param').changeRequestId)
    return c.json(presentWithSteps(request, steps), 200)
  })
  app.openapi(approveRoute, async (c) =>
    c.json(presentRequest(await approveChange(c.get('ctx'), { ...c.req.valid('param'), ...c.req.valid('json') })), 200),
  )
  app.openapi(rejectRoute, async (c) =>
    c.json(presentRequest(await rejectChange(c.get('ctx'), { ...c.req.valid('param'), ...c.req.valid('json') })), 200),
  )
  app.openapi(cancelRoute, async (c) =>
    c.json(presentRequest(await cancelChange(c.get('ctx'), c.req.valid('param'))), 200),
  )
  app.openapi(attestRoute, async (c) =>
    c.json(presentRequest(await attestChange(c.get('ctx'), { ...c.req.valid('param'), ...c.req.valid('json') })), 200),
  )
  app.openapi(reconcileRoute, async (c) =>
    c.json(presentRequest(await reconcileChange(c.get('ctx'), c.req.valid('param'))), 200),
  )
  app.openapi(getDutiesRoute, async (c) => c.json(present(await getDuties(c.get('ctx'))), 200))
  app.openapi(setDutiesRoute, async (c) => c.json(present(await setDuties(c.get('ctx'), c.req.valid('json'))), 200))
  app.openapi(allowSoleOperatorRoute, async (c) =>
    c.json(present(await allowSoleOperator(c.get('ctx'), c.req.valid('json'))), 200),
  )
  app.openapi(endSoleOperatorRoute, async (c) => c.json(present(await endSoleOperator(c.get('ctx'))), 200))
}

function present({ enabled, approvers, soleOperatorUntil, soleOperatorReason }: DutiesPolicy): z.infer<typeof Duties> {
  const soleOperator =
    soleOperatorUntil === null || soleOperatorReason === null
      ? null
      : { until: soleOperatorUntil.toISOString(), reason: soleOperatorReason }
  return { enabled, approvers, soleOperator }
}
