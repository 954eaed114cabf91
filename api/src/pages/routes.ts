import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import type { Env } from '../auth/access.js'
import type { SessionPrincipal } from '../auth/self.js'
import { decideDeviceCode, findDeviceCode } from '../device-codes/decide-device-code.js'
import { Problem } from '../problems.js'
import { endSession } from '../sessions/end-sessions.js'
import { mailedCodeScript, passkeyScript, style } from './assets.js'
import { codePage, consentPage, donePage, signInPage } from './login-pages.js'
import { ownFormsOnly, pageHeaders } from './page-headers.js'
import { emailOf, forgetPageSession, pageSession } from './page-session.js'
import { signInOnPage } from './page-sign-in.js'
import { showProblems } from './show-problems.js'

type C = Context<Env>

const Code = z.string().max(40).default('')
const Decision = z.object({ code: Code, decision: z.enum(['approved', 'denied']) })

/** The pages that a person needs to sign in a command line: forms without script, but for passkeys. What all pages share is here too. */
export function registerPages(app: OpenAPIHono<Env>): void {
  for (const path of ['/login', '/login/*', '/logout', '/join', '/join/*', '/account/*'])
    app.use(path, pageHeaders, ownFormsOnly, bodyLimit({ maxSize: 65_536 }))
  const scripts = { '/login/passkey.js': passkeyScript, '/login/mailed-code.js': mailedCodeScript }
  app.get('/login/style.css', (c) => c.body(style, 200, { 'content-type': 'text/css; charset=utf-8' }))
  for (const [path, script] of Object.entries(scripts))
    app.get(path, (c) => c.body(script, 200, { 'content-type': 'text/javascript; charset=utf-8' }))
  app.get('/login', (c) => c.redirect('/login/device', 303))
  app.get('/login/device', async (c) => {
    const code = Code.catch('').parse(c.req.query('code'))
    const session = await pageSession(c)
    return c.html(session ? codePage({ code, email: await emailOf(c, session) }) : signInPage({ code }))
  })
  app.post('/login', (c) => showProblems(c, () => signInFromPage(c)))
  app.post('/login/device', (c) => showProblems(c, () => askForConsent(c)))
  app.post('/login/device/decision', (c) => showProblems(c, () => decide(c)))
  app.post('/logout', async (c) => {
    const session = await pageSession(c)
    if (session) await endSession({ ...c.get('deps'), session, requestId: c.get('requestId') }, session.sessionId)
    forgetPageSession(c)
    return c.redirect('/login/device', 303)
  })
}

async function signInFromPage(c: C): Promise<Response> {
  const code = Code.catch('').parse((await c.req.parseBody())['code'])
  try {
    await signInOnPage(c)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return c.html(signInPage({ code, problem: error.message }), 400)
  }
  return c.redirect(`/login/device${code ? `?code=${encodeURIComponent(code)}` : ''}`, 303)
}

async function askForConsent(c: C): Promise<Response> {
  const session = await requirePageSession(c)
  const form = z.object({ code: Code }).safeParse(await c.req.parseBody())
  const [code, email] = [form.data?.code ?? '', await emailOf(c, session)]
  try {
    const waiting = await findDeviceCode(c.get('deps'), session, code)
    return c.html(
      consentPage({ ...waiting, email, code: code.trim().toUpperCase(), everywhere: session.onlyOrgId === null }),
    )
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return c.html(codePage({ code, email, problem: error.message }), 400)
  }
}

async function decide(c: C): Promise<Response> {
  const session = await requirePageSession(c)
  const form = Decision.safeParse(await c.req.parseBody())
  if (!form.success) throw new Problem('request-malformed')
  await decideDeviceCode(c.get('deps'), { session, requestId: c.get('requestId'), ...form.data })
  return c.html(donePage(form.data.decision))
}

async function requirePageSession(c: C): Promise<SessionPrincipal> {
  const session = await pageSession(c)
  if (!session) throw new Problem('sign-in-stale', 'Your session of this page has ended. Sign in again.')
  return session
}
