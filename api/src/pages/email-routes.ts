import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { Env } from '../auth/access.js'
import { requireEverywhere, type Self, type SessionPrincipal } from '../auth/self.js'
import { redeemEmailChange } from '../email-changes/redeem-email-change.js'
import { requestEmailChange } from '../email-changes/request-email-change.js'
import { Problem } from '../problems.js'
import { afterEmailChange, emailChangedPage, emailPage, signInFirstPage } from './email-pages.js'
import { secretOf } from './mailed-code.js'
import { emailOf, pageSession } from './page-session.js'
import { signInOnPage } from './page-sign-in.js'
import { showProblems } from './show-problems.js'

type C = Context<Env>

/** The pages on which a person changes their address, asked for and confirmed by who is signed in. */
export function registerEmailPages(app: OpenAPIHono<Env>): void {
  const page = (path: string, work: (c: C) => Promise<Response>) =>
    app.post(path, (c) => showProblems(c, () => work(c), afterEmailChange))
  app.get('/account/email', async (c) => {
    const session = await pageSession(c)
    return c.html(session ? emailPage({ email: await emailOf(c, session) }) : signInFirstPage())
  })
  app.get('/account/email/*', (c) => c.redirect('/account/email', 303))
  page('/account/email', ask)
  page('/account/email/sign-in', signIn)
  page('/account/email/code', async (c) => {
    const [secret, session] = [await secretOf(c), await pageSession(c)]
    return session ? redeem(c, session, secret) : c.html(signInFirstPage({ secret }))
  })
}

const selfIn = (c: C, session: SessionPrincipal): Self =>
  requireEverywhere({ ...c.get('deps'), session, requestId: c.get('requestId') })

async function ask(c: C): Promise<Response> {
  const session = await pageSession(c)
  if (!session) return c.html(signInFirstPage({ problem: 'Your session of this page has ended.' }), 400)
  const present = await emailOf(c, session)
  const form = z
    .email()
    .max(320)
    .safeParse((await c.req.parseBody())['email'])
  if (!form.success) return c.html(emailPage({ email: present, problem: 'This is no e-mail address.' }), 400)
  try {
    await requestEmailChange(selfIn(c, session), form.data)
  } catch (error) {
    // A sign-in on this page presents the second factor anew.
    if (!(error instanceof Problem) || !STALE.includes(error.code)) throw error
    return c.html(signInFirstPage({ problem: 'This needs a sign-in of the last five minutes.' }), 400)
  }
  return c.html(emailPage({ email: present, asked: form.data }))
}

const STALE = ['sign-in-stale', 'second-factor-stale', 'second-factor-missing']

async function signIn(c: C): Promise<Response> {
  const secret = await secretOf(c)
  let session: SessionPrincipal
  try {
    session = await signInOnPage(c)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return c.html(signInFirstPage({ secret, problem: error.message }), 400)
  }
  return secret === '' ? c.html(emailPage({ email: await emailOf(c, session) })) : redeem(c, session, secret)
}

async function redeem(c: C, session: SessionPrincipal, secret: string): Promise<Response> {
  const { email } = await redeemEmailChange(selfIn(c, session), secret)
  return c.html(emailChangedPage(email))
}
