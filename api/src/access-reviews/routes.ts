import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, Id, jsonBody, jsonResponse, PageQuery } from '../define-route.js'
import { createReview } from './create-review.js'
import { decideItem } from './decide-item.js'
import { listItems, listReviews } from './list-reviews.js'
import { AccessReview, AccessReviewItem, presentItem, presentReview } from './present-review.js'

const path = '/v1/organizations/{organizationId}/access-reviews'
const params = z.object({ organizationId: Id })
const reviewParams = params.extend({ reviewId: Id })

const createRoute = defineRoute({
  method: 'post',
  path,
  operationId: 'createAccessReview',
  summary: 'Have everybody’s access reviewed; at the deadline what nobody attested is suspended',
  access: { kind: 'organization', scope: 'members:write' },
  request: { params, body: jsonBody(z.object({ dueAt: z.iso.datetime({ offset: true }) })) },
  responses: { 201: jsonResponse(AccessReview, 'The review') },
})

const listRoute = defineRoute({
  method: 'get',
  path,
  operationId: 'listAccessReviews',
  summary: 'Reviews, newest first',
  access: { kind: 'organization', scope: 'access:read' },
  request: { params, query: PageQuery },
  responses: { 200: jsonResponse(z.array(AccessReview), 'Reviews') },
})

const listItemsRoute = defineRoute({
  method: 'get',
  path: `${path}/{reviewId}/items`,
  operationId: 'listAccessReviewItems',
  summary: 'What everybody may do, when it was last used, and what was decided',
  access: { kind: 'organization', scope: 'access:read' },
  request: { params: reviewParams, query: PageQuery.extend({ undecided: z.enum(['true', 'false']).optional() }) },
  responses: { 200: jsonResponse(z.array(AccessReviewItem), 'Items') },
})

const decideRoute = defineRoute({
  method: 'patch',
  path: `${path}/{reviewId}/items/{itemId}`,
  operationId: 'decideAccessReviewItem',
  summary: 'Attest that it is needed, or take it back at once',
  access: { kind: 'organization', scope: 'members:write' },
  request: {
    params: reviewParams.extend({ itemId: Id }),
    body: jsonBody(z.object({ decision: z.enum(['attested', 'revoked']) })),
  },
  responses: { 200: jsonResponse(AccessReviewItem, 'The item') },
})

export function registerAccessReviewRoutes(app: OpenAPIHono<Env>): void {
  app.openapi(createRoute, async (c) => {
    const dueAt = new Date(c.req.valid('json').dueAt)
    return c.json(presentReview(await createReview(c.get('ctx'), { dueAt })), 201)
  })
  app.openapi(listRoute, async (c) => {
    const { limit = 50, offset = 0 } = c.req.valid('query')
    return c.json((await listReviews(c.get('ctx'), { limit, offset })).map(presentReview), 200)
  })
  app.openapi(listItemsRoute, async (c) => {
    const { undecided, limit = 50, offset = 0 } = c.req.valid('query')
    const { reviewId } = c.req.valid('param')
    const wanted = { reviewId, undecided: undecided === 'true', limit, offset }
    return c.json((await listItems(c.get('ctx'), wanted)).map(presentItem), 200)
  })
  app.openapi(decideRoute, async (c) => {
    const { reviewId, itemId } = c.req.valid('param')
    const decided = await decideItem(c.get('ctx'), { ...c.req.valid('json'), reviewId, itemId })
    return c.json(presentItem(decided), 200)
  })
}
