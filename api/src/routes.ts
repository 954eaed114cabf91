import type { OpenAPIHono } from '@hono/zod-openapi'
import { registerAppRoutes } from './apps/routes.js'
import { registerAuditRoutes } from './audit/routes.js'
import type { Env } from './auth/access.js'
import { registerHealthRoutes } from './health/routes.js'
import { registerOrganizationRoutes } from './organizations/routes.js'
import { registerSessionRoutes } from './sessions/routes.js'
import { registerTokenRoutes } from './tokens/routes.js'
import { registerUserRoutes } from './users/routes.js'

/** Every route of the API, one line a feature. */
export function registerRoutes(app: OpenAPIHono<Env>): void {
  registerHealthRoutes(app)
  registerSessionRoutes(app)
  registerUserRoutes(app)
  registerOrganizationRoutes(app)
  registerTokenRoutes(app)
  registerAuditRoutes(app)
  registerAppRoutes(app)
}
