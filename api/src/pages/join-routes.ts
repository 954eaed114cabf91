import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { Env } from '../auth/access.js'
import { requireEverywhere, type SessionPrincipal } from '../auth/self.js'
import { acceptInvitation } from '../invitations/accept-invitation.js'
import { createAccount } from '../invitations/create-account.js'
import { NewAccount } from '../invitations/new-account.js'
import { rejectInvitation } from '../invitations/reject-invitation.js'
import { showInvitation } from '../invitations/show-invitation.js'
import { Problem } from '../problems.js'
import {
  accountMadePage,
  afterInvitation,
  declinedPage,
  invitationCodePage,
  invitationPage,
  joinedPage,
} from './join-pages.js'
import { secretOf } from './mailed-code.js'
import { passwordRule } from './new-password-field.js'
import { emailOf, pageSession } from './page-session.js'
import { signInOnPage } from './page-sign-in.js'
import { showProblems } from './show-problems.js'

type C = Context<Env>

/** The pages on which an invitation is accepted. Its secret comes from the part of the address that no server sees, and stays in forms. */
export function registerJoinPages(app: OpenAPIHono<Env>): void {
  const page = (path: string, work: (c: C, secret: string) => Promise<Response>) =>
    app.post(path, (c) => showProblems(c, async () => work(c, await secretOf(c)), afterInvitation))
  app.get('/join', (c) => c.html(invitationCodePage()))
  app.get('/join/*', (c) => c.redirect('/join', 303))
  page('/join', async (c, secret) => show(c, secret, await pageSession(c)))
  page('/join/sign-in', signIn)
  page('/join/account', makeAccount)
  page('/join/acceptance', accept)
  page('/join/rejection', async (c, secret) => {
    await rejectInvitation(c.get('deps'), { secret, address: c.get('address'), requestId: c.get('requestId') })
    return c.html(declinedPage())
  })
}

async function show(c: C, secret: string, session: SessionPrincipal | null, problem?: string): Promise<Response> {
  const invitation = await showInvitation(c.get('deps'), { secret, address: c.get('address') })
  // Who came in through a provider accepts nothing for other organizations.
  const email = session?.onlyOrgId === null ? await emailOf(c, session) : null
  return c.html(invitationPage({ invitation, secret, email, problem }), problem ? 400 : 200)
}

async function signIn(c: C, secret: string): Promise<Response> {
  try {
    return await show(c, secret, await signInOnPage(c))
  } catch (error) {
    if (!(error instanceof Problem) || error.code === 'invitation-invalid') throw error
    return show(c, secret, null, error.message)
  }
}

async function makeAccount(c: C, secret: string): Promise<Response> {
  const { name, password } = await c.req.parseBody()
  const account = NewAccount.safeParse({ name: name === '' ? undefined : name, password })
  if (!account.success)
    return show(c, secret, null, account.error.issues[0]?.path[0] === 'name' ? nameRule : passwordRule)
  try {
    const from = { secret, address: c.get('address'), requestId: c.get('requestId') }
    await createAccount(c.get('deps'), { ...account.data, ...from })
    return c.html(accountMadePage())
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== 'account-exists') throw error
    return show(c, secret, null, error.message)
  }
}

const nameRule = 'Write a name of at most 200 characters, or none.'

async function accept(c: C, secret: string): Promise<Response> {
  const session = await pageSession(c)
  if (!session) return show(c, secret, null, 'Your session of this page has ended. Sign in again.')
  const self = { ...c.get('deps'), session, requestId: c.get('requestId') }
  await acceptInvitation(requireEverywhere(self), secret)
  return c.html(joinedPage())
}
