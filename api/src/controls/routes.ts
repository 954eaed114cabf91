import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Env } from '../auth/access.js'
import { defineRoute, jsonResponse, Timestamp } from '../define-route.js'
import { pageHeaders } from '../pages/page-headers.js'
import { Problem } from '../problems.js'
import { controlsPage } from './controls-page.js'
import { Control, readControls } from './read-controls.js'

const controlsRoute = defineRoute({
  method: 'get',
  path: '/v1/controls',
  operationId: 'listControls',
  summary: 'What is promised, whether it is in place, and the tests that show it; a page for browsers',
  access: { kind: 'public' },
  responses: {
    200: {
      ...jsonResponse(
        z.object({ certificates: z.array(z.string()), controls: z.array(Control.openapi('Control')) }),
        'Controls',
      ),
    },
  },
})

const dataPolicyRoute = defineRoute({
  method: 'get',
  path: '/v1/data-policy',
  operationId: 'getDataPolicy',
  summary: 'What customer data is used for beside the service itself, and where it is kept',
  access: { kind: 'public' },
  responses: {
    200: jsonResponse(
      z
        .object({ dataUse: z.literal('none'), telemetryToMaker: z.literal('none'), region: z.string().nullable() })
        .openapi('DataPolicy'),
      'The policy',
    ),
  },
})

const subprocessorsRoute = defineRoute({
  method: 'get',
  path: '/.well-known/subprocessors.json',
  operationId: 'listSubprocessors',
  summary: 'Services that keep or carry data of this installation, from its configuration',
  access: { kind: 'public' },
  responses: {
    200: jsonResponse(
      z
        .object({
          region: z.string().nullable(),
          processors: z.array(
            z.object({ service: z.string(), host: z.string(), purpose: z.string(), region: z.string().nullable() }),
          ),
          generatedAt: Timestamp,
        })
        .openapi('Subprocessors'),
      'Services',
    ),
  },
})

const securityTextRoute = defineRoute({
  method: 'get',
  path: '/.well-known/security.txt',
  operationId: 'showSecurityText',
  summary: 'Where vulnerabilities are reported (RFC 9116)',
  access: { kind: 'public' },
  responses: { 200: { description: 'The file', content: { 'text/plain': { schema: z.string() } } } },
})

export function registerControlRoutes(app: OpenAPIHono<Env>): void {
  app.use('/v1/controls', pageHeaders)
  app.openapi(controlsRoute, (c) => {
    c.header('vary', 'accept')
    const controls = readControls()
    if (c.req.header('accept')?.includes('text/html')) return c.html(controlsPage(controls)) as never
    return c.json({ certificates: [], controls }, 200)
  })
  app.openapi(dataPolicyRoute, (c) => {
    const { region } = c.get('deps').operator
    return c.json({ dataUse: 'none' as const, telemetryToMaker: 'none' as const, region }, 200)
  })
  app.openapi(subprocessorsRoute, (c) => {
    const { operator, now } = c.get('deps')
    const answer = { region: operator.region, processors: [...operator.subprocessors] }
    return c.json({ ...answer, generatedAt: now().toISOString() }, 200)
  })
  app.openapi(securityTextRoute, (c) => {
    const { operator, now, publicUrl } = c.get('deps')
    // RFC 9116: what has expired must not be used any more.
    if (!operator.disclosure || Date.parse(operator.disclosure.expires) <= now().getTime()) {
      throw new Problem(
        'not-found',
        'The operator has named no place for reports (SECURITY_CONTACTS, SECURITY_EXPIRES).',
      )
    }
    const { contacts, expires, policy } = operator.disclosure
    const lines = [
      ...contacts.map((contact) => `Contact: ${contact}`),
      `Expires: ${expires}`,
      ...(policy ? [`Policy: ${policy}`] : []),
      `Canonical: ${publicUrl}/.well-known/security.txt`,
    ]
    return c.text(`${lines.join('\n')}\n`, 200)
  })
}
