import { html, nothing } from './html.js'
import { mailedCodeField } from './mailed-code.js'
import { newPasswordField } from './new-password-field.js'
import { notice, page } from './page-layout.js'

export function forgottenPage(problem?: string): string {
  const content = html`${problem ? notice(problem) : nothing}
    <p>A mail will bring you a link that sets a new password once, within half an hour.</p>
    <form method="post" action="/login/password">
      <label for="email">E-mail address of your account</label>
      <input id="email" name="email" type="email" autocomplete="username" maxlength="320" required autofocus />
      <button>Send me the mail</button>
    </form>
    <p><a href="/login/device">Back to the sign-in</a></p>`
  return page('Forgotten password', content)
}

/** The same whether or not there is such an account. */
export const askedPage = (email: string): string =>
  page(
    'Look into your mail',
    html`<p>If somebody signs in with <strong>${email}</strong> and a password here, a mail is on its way.</p>
      <p>
        None after a few minutes? Look among what was taken for advertising, and at the address above. Whoever signs in
        through an organization alone has no password here.
      </p>
      <p><a href="/login/password/new">I have a code</a></p>
      <p><a href="/login/password">Send another mail</a></p>`,
  )

export function newPasswordPage({ secret = '', problem }: { secret?: string; problem?: string } = {}): string {
  const content = html`${problem ? notice(problem) : nothing}
    <form method="post" action="/login/password/new">
      ${mailedCodeField('Code of your mail (it begins with cr_)', 'fill', secret)} ${newPasswordField}
      <button>Set the password</button>
    </form>
    <p>Every session of your account ends then. A second factor is asked for as before.</p>`
  return page('Set a new password', content, { scripts: ['/login/mailed-code.js'] })
}

export const passwordSetPage = (): string =>
  page(
    'Your password is set',
    html`<p>Every session of your account has ended; API tokens go on.</p>
      <p><a href="/login/device">Sign in with your new password</a></p>`,
  )

/** Below a refusal. */
export const afterReset = html`<p><a href="/login/password">Ask for another mail</a></p>
  <p><a href="/login/device">Back to the sign-in</a></p>`
