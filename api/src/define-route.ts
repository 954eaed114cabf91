import { createRoute, z, type RouteConfig } from '@hono/zod-openapi'
import { access, accessStill, type Access } from './auth/access.js'
import { limitBody } from './limit-body.js'
import { ProblemDocument } from './problems.js'

type RouteDefinition<P extends string> = Omit<RouteConfig, 'path' | 'security' | 'middleware'> & {
  path: P
  operationId: string
  summary: string
  /** Who may call it; there is no route without. */
  access: Access
}

const problemResponse = {
  description: 'A problem document (RFC 9457).',
  content: { 'application/problem+json': { schema: ProblemDocument } },
}

/**
 * One route of the contract: adds who may call it, the problem response, and `required: true` to a body, without which
 * a request with no body at all would skip validation.
 */
export function defineRoute<P extends string, R extends RouteDefinition<P>>(definition: R) {
  const { access: who, ...route } = definition
  const body = route.request?.body
  const scopes = 'scope' in who ? [who.scope] : []
  return createRoute<P, R>({
    ...route,
    ...(body ? { request: { ...route.request, body: { ...body, required: true } } } : {}),
    // Who asks is known before a byte of the body is read, and still after the last.
    middleware: body ? [access(who, { inTurn: isUpload(body) }), limitBody(who), accessStill(who)] : [access(who)],
    security: who.kind === 'public' || who.kind === 'device' ? [] : [{ token: scopes }],
    responses: { ...route.responses, default: problemResponse },
  } as unknown as R)
}

const isUpload = ({ content }: { content: object }) => 'multipart/form-data' in content

/** A JSON body; unknown keys are dropped, because the official CLI sends ids of the path along. */
export const jsonBody = <T extends z.ZodType>(schema: T) => ({
  content: { 'application/json': { schema } },
  required: true as const,
})

export const jsonResponse = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { 'application/json': { schema } },
})

/** The CLI compares nothing but the presence of these; ISO 8601 as everywhere. */
export const Timestamp = z.iso.datetime()
export const Id = z.uuid()
export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1000).default(50).optional(),
  offset: z.coerce.number().int().min(0).default(0).optional(),
})

/** `relations=a,b.c` as a set. */
export const Relations = z
  .string()
  .optional()
  .transform((text) => new Set((text ?? '').split(',').filter(Boolean)))
