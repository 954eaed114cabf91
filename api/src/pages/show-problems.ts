import type { Context } from 'hono'
import type { Env } from '../auth/access.js'
import { Problem } from '../problems.js'
import { html, type Html } from './html.js'
import { notice, page } from './page-layout.js'

const beginAgain = html`<p><a href="/login/device">Begin again</a></p>`

/** A person sees a page that says what to do next, not a problem document. What is not a refusal goes on to the log. */
export async function showProblems(
  c: Context<Env>,
  work: () => Promise<Response>,
  next: Html = beginAgain,
): Promise<Response> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return c.html(page('This did not work', html`${notice(error.message)} ${next}`), 400)
  }
}
