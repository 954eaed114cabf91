import type { Deps } from '../context.js'
import { admitLetterbox } from '../mails/admit-letterbox.js'
import { requireMail } from '../mails/require-mail.js'
import { admitStranger } from './admit-stranger.js'
import { requestReset } from './request-reset.js'

/** The same for everybody, at once: the time of an answer would tell whether there is such an account. */
export function askForReset(deps: Deps, { email, address }: { email: string; address: string | null }): void {
  requireMail(deps)
  admitStranger(deps, address)
  if (!admitLetterbox(email.toLowerCase(), deps.now())) return
  void requestReset(deps, email).catch((error: unknown) => deps.log.error({ err: error }, 'a reset was not mailed'))
}
