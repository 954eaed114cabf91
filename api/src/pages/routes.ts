import { users, withUser } from '@capstan/migrations'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { eq } from 'drizzle-orm'
import type { Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { z } from 'zod'
import type { Env } from '../auth/access.js'
import type { SessionPrincipal } from '../auth/self.js'
import { decideDeviceCode, findDeviceCode } from '../device-codes/decide-device-code.js'
import { asAssertion, AuthenticationResponse } from '../passkeys/passkey-schemas.js'
import { Problem } from '../problems.js'
import { endSession } from '../sessions/end-sessions.js'
import { signIn } from '../sessions/sign-in.js'
import { passkeyScript, style } from './assets.js'
import { codePage, consentPage, donePage, problemPage, signInPage } from './login-pages.js'
import { ownFormsOnly, pageHeaders } from './page-headers.js'
import { forgetPageSession, keepPageSession, pageSession } from './page-session.js'

type C = Context<Env>

const Code = z.string().max(40).default('')
const SignInForm = z.object({
  code: Code,
  email: z.string().max(320).optional(),
  password: z.string().max(1024).optional(),
  factor: z.string().max(50).default(''),
  assertion: z.string().max(50_000).optional(),
})
const Decision = z.object({ code: Code, decision: z.enum(['approved', 'denied']) })

/** The pages that a person needs to sign in a command line: forms without script, but for passkeys. */
export function registerPages(app: OpenAPIHono<Env>): void {
  for (const path of ['/login', '/login/*', '/logout'])
    app.use(path, pageHeaders, ownFormsOnly, bodyLimit({ maxSize: 65_536 }))
  app.get('/login/style.css', (c) => c.body(style, 200, { 'content-type': 'text/css; charset=utf-8' }))
  app.get('/login/passkey.js', (c) => c.body(passkeyScript, 200, { 'content-type': 'text/javascript; charset=utf-8' }))
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
  const form = SignInForm.safeParse(await c.req.parseBody())
  if (!form.success) throw new Problem('request-malformed')
  const { code, email, password, factor, assertion } = form.data
  const proof = /^\s*\d{3}\s?\d{3}\s*$/.test(factor) ? { otp: factor.trim() } : { recoveryCode: factor }
  const [userAgent, requestId] = [c.req.header('user-agent'), c.get('requestId')]
  const from = { client: 'page', address: c.get('address'), userAgent, requestId } as const
  try {
    const passkey = assertion ? readAssertion(assertion) : undefined
    const { token } = await signIn(c.get('deps'), { email, password, passkey, ...proof }, from)
    keepPageSession(c, token)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return c.html(signInPage({ code, problem: error.message }), 400)
  }
  return c.redirect(`/login/device${code ? `?code=${encodeURIComponent(code)}` : ''}`, 303)
}

function readAssertion(text: string) {
  try {
    return asAssertion(AuthenticationResponse.parse(JSON.parse(text)))
  } catch {
    throw new Problem('request-malformed', 'The answer of the passkey could not be read. Try it again.')
  }
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

export async function emailOf(c: C, { userId }: SessionPrincipal): Promise<string> {
  const [user] = await withUser(c.get('deps').db, userId, (tx) =>
    tx.select({ email: users.email }).from(users).where(eq(users.id, userId)),
  )
  return user?.email ?? ''
}

/** A person sees a page, not a problem document. What is not a refusal goes on to the log. */
export async function showProblems(c: C, work: () => Promise<Response>): Promise<Response> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return c.html(problemPage(error.message), 400)
  }
}
