import type { Context } from 'hono'
import { z } from 'zod'
import type { Env } from '../auth/access.js'
import type { SessionPrincipal } from '../auth/self.js'
import { asAssertion, AuthenticationResponse } from '../passkeys/passkey-schemas.js'
import { Problem } from '../problems.js'
import { signIn } from '../sessions/sign-in.js'
import { keepPageSession, sessionOfToken } from './page-session.js'

const SignInForm = z.object({
  email: z.string().max(320).optional(),
  password: z.string().max(1024).optional(),
  factor: z.string().max(50).default(''),
  assertion: z.string().max(50_000).optional(),
})

/** Signs in with what the forms of `sign-in-forms.ts` send, and keeps the session in the browser. */
export async function signInOnPage(c: Context<Env>): Promise<SessionPrincipal> {
  const form = SignInForm.safeParse(await c.req.parseBody())
  if (!form.success) throw new Problem('request-malformed')
  const { email, password, factor, assertion } = form.data
  const proof = /^\s*\d{3}\s?\d{3}\s*$/.test(factor) ? { otp: factor.trim() } : { recoveryCode: factor }
  const [userAgent, requestId] = [c.req.header('user-agent'), c.get('requestId')]
  const from = { client: 'page', address: c.get('address'), userAgent, requestId } as const
  const passkey = assertion ? readAssertion(assertion) : undefined
  const { token } = await signIn(c.get('deps'), { email, password, passkey, ...proof }, from)
  keepPageSession(c, token)
  return sessionOfToken(c, token)
}

function readAssertion(text: string) {
  try {
    return asAssertion(AuthenticationResponse.parse(JSON.parse(text)))
  } catch {
    throw new Problem('request-malformed', 'The answer of the passkey could not be read. Try it again.')
  }
}
