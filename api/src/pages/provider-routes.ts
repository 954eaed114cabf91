import { identityProviders, withOrg, withUser } from '@capstan/migrations'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { asc } from 'drizzle-orm'
import type { Context } from 'hono'
import { getCookie, setCookie } from 'hono/cookie'
import { z } from 'zod'
import type { Env } from '../auth/access.js'
import { requireFreshSelf, type SessionPrincipal } from '../auth/self.js'
import { beginSignIn } from '../federated-sign-in/begin-sign-in.js'
import { finishSignIn } from '../federated-sign-in/finish-sign-in.js'
import { findProvider } from '../federated-sign-in/open-provider.js'
import { Problem } from '../problems.js'
import { findFactors, hasFactor } from '../second-factors/find-factors.js'
import { emailOf, keepPageSession, pageSession } from './page-session.js'
import { choicePage, leavePage, providerPage, returnedPage } from './provider-pages.js'
import { showProblems } from './show-problems.js'

type C = Context<Env>

/** Binds an answer to the browser that asked. Lax: the answer comes from the provider's site. */
const NAME = 'capstan-sign-in'
const OPTIONS = { prefix: 'host', path: '/', secure: true, httpOnly: true, sameSite: 'Lax', maxAge: 600 } as const

const Code = z.string().max(40).catch('')
const Begin = z.object({ provider: z.string().max(36), code: Code, intent: z.enum(['sign-in', 'link']) })

/** The pages of signing in through the provider of an organization. */
export function registerProviderPages(app: OpenAPIHono<Env>): void {
  app.get('/login/organization', (c) => showProblems(c, () => choose(c)))
  app.get('/login/provider/:providerId', (c) => showProblems(c, () => offer(c)))
  app.post('/login/provider', (c) => showProblems(c, () => begin(c)))
  app.get('/login/callback', (c) => showProblems(c, () => finish(c)))
}

async function choose(c: C): Promise<Response> {
  const orgId = z.uuid().safeParse(c.req.query('organization')?.trim())
  const [order, columns] = [asc(identityProviders.name), { id: identityProviders.id, name: identityProviders.name }]
  const providers = orgId.success
    ? await withOrg(c.get('deps').db, orgId.data, (tx) => tx.select(columns).from(identityProviders).orderBy(order))
    : []
  return c.html(choicePage(providers, Code.parse(c.req.query('code'))))
}

async function offer(c: C): Promise<Response> {
  const { id, name } = await findProvider(c.get('deps'), c.req.param('providerId') ?? '')
  const session = await pageSession(c)
  const email = session && session.onlyOrgId === null ? await emailOf(c, session) : null
  return c.html(providerPage({ id, name, code: Code.parse(c.req.query('code')), email }))
}

async function begin(c: C): Promise<Response> {
  const form = Begin.safeParse(await c.req.parseBody())
  if (!form.success) throw new Problem('request-malformed')
  const { provider: id, code: userCode, intent } = form.data
  const provider = await findProvider(c.get('deps'), id)
  const linker = intent === 'link' ? await requireLinker(c) : null
  const { url, browser } = await beginSignIn(c.get('deps'), { provider, userCode, linker, address: c.get('address') })
  setCookie(c, NAME, browser, OPTIONS)
  return c.html(leavePage(provider.name, url))
}

/** Whoever links an identity lets it in from then on: as fresh as for a second factor. */
async function requireLinker(c: C): Promise<SessionPrincipal> {
  const session = await pageSession(c)
  if (!session || session.onlyOrgId !== null) {
    throw new Problem('sign-in-stale', 'Sign in with your password or passkey first, then link the provider.')
  }
  const deps = c.get('deps')
  const factors = await withUser(deps.db, session.userId, (tx) => findFactors(tx, session.userId))
  requireFreshSelf({ ...deps, session, requestId: c.get('requestId') }, hasFactor(factors))
  return session
}

async function finish(c: C): Promise<Response> {
  const browser = getCookie(c, NAME, 'host') ?? ''
  setCookie(c, NAME, '', { ...OPTIONS, maxAge: 0 })
  const { userCode, token } = await finishSignIn(c.get('deps'), {
    answer: new URL(c.req.url).searchParams,
    browser,
    userAgent: c.req.header('user-agent'),
    requestId: c.get('requestId'),
  })
  if (token !== null) keepPageSession(c, token)
  return c.html(returnedPage(userCode, token === null))
}
