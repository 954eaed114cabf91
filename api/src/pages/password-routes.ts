import { z, type OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { Env } from '../auth/access.js'
import { NewPassword } from '../auth/new-password.js'
import { askForReset } from '../password-resets/ask-for-reset.js'
import { redeemReset } from '../password-resets/redeem-reset.js'
import { secretOf } from './mailed-code.js'
import { passwordRule } from './new-password-field.js'
import { afterReset, askedPage, forgottenPage, newPasswordPage, passwordSetPage } from './password-pages.js'
import { showProblems } from './show-problems.js'

type C = Context<Env>

/** The pages of a forgotten password. Its code comes from the part of the address that no server sees, and stays in a form. */
export function registerPasswordPages(app: OpenAPIHono<Env>): void {
  app.get('/login/password', (c) => c.html(forgottenPage()))
  app.get('/login/password/new', (c) => c.html(newPasswordPage()))
  app.post('/login/password', (c) => showProblems(c, () => ask(c), afterReset))
  app.post('/login/password/new', (c) => showProblems(c, () => redeem(c), afterReset))
}

async function ask(c: C): Promise<Response> {
  const email = z
    .email()
    .max(320)
    .safeParse((await c.req.parseBody())['email'])
  if (!email.success) return c.html(forgottenPage('Write the address as you do when you sign in.'), 400)
  askForReset(c.get('deps'), { email: email.data, address: c.get('address') })
  return c.html(askedPage(email.data))
}

async function redeem(c: C): Promise<Response> {
  const secret = await secretOf(c)
  const password = NewPassword.safeParse((await c.req.parseBody())['password'])
  if (!password.success) return c.html(newPasswordPage({ secret, problem: passwordRule }), 400)
  const from = { address: c.get('address'), requestId: c.get('requestId') }
  await redeemReset(c.get('deps'), { secret, password: password.data, ...from })
  return c.html(passwordSetPage())
}
