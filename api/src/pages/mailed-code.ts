import type { Context } from 'hono'
import { z } from 'zod'
import { Problem } from '../problems.js'
import { html, type Html } from './html.js'

/** A field for a code that was mailed; `/login/mailed-code.js` fills it, and with `send` sends its form. */
export const mailedCodeField = (label: string, then: 'send' | 'fill', value = ''): Html =>
  html`<label for="secret">${label}</label>
    <input
      id="secret"
      name="secret"
      value="${value}"
      data-mailed="${then}"
      autocomplete="off"
      autocapitalize="none"
      spellcheck="false"
      maxlength="100"
      required
    />`

const Secret = z.object({ secret: z.string().max(100).trim() })

/** What a form sent. */
export async function secretOf(c: Context): Promise<string> {
  const form = Secret.safeParse(await c.req.parseBody())
  if (!form.success) throw new Problem('request-malformed')
  return form.data.secret
}

export const hiddenSecret = (secret: string): Html => html`<input type="hidden" name="secret" value="${secret}" />`
