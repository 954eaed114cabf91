import { html, type Html, nothing } from './html.js'
import { hiddenSecret, mailedCodeField } from './mailed-code.js'
import { notice, page } from './page-layout.js'
import { signInForms } from './sign-in-forms.js'

const codeForm = html`<form method="post" action="/account/email/code">
  ${mailedCodeField('Code of your mail (it begins with ce_)', 'send')}
  <button>Take the new address</button>
</form>`

/** `email` is the present one; `asked` the one that a code was mailed to. */
export function emailPage({ email, asked, problem }: { email: string; asked?: string; problem?: string }): string {
  const content = html`${problem ? notice(problem) : nothing}
    ${asked === undefined ? askForm(email) : html`<p role="status">A mail went to <strong>${asked}</strong>. It is valid for half an hour.</p>`}
    <h2>If you have a code</h2>
    ${codeForm}`
  return page('Change your e-mail address', content, { scripts: ['/login/mailed-code.js'] })
}

const askForm = (email: string): Html =>
  html`<p>You sign in with <strong>${email}</strong>.</p>
    <form method="post" action="/account/email">
      <label for="email">New e-mail address</label>
      <input id="email" name="email" type="email" autocomplete="email" maxlength="320" required />
      <button>Mail me a code</button>
    </form>`

export type SignInFirst = { secret?: string; problem?: string | undefined }

/** A browser that comes from a mail tells of no session: the form with the code, which is ours, asks again. */
export function signInFirstPage({ secret = '', problem }: SignInFirst = {}): string {
  const content = html`${problem ? notice(problem) : nothing}
    <p>Sign in with the address that your account has now.</p>
    ${signInForms('/account/email/sign-in', hiddenSecret(secret))}
    ${
      secret === ''
        ? html`<h2>If you have a code</h2>
            ${codeForm}`
        : nothing
    }`
  return page('Change your e-mail address', content, { scripts: ['/login/passkey.js', '/login/mailed-code.js'] })
}

export const emailChangedPage = (email: string): string =>
  page(
    'Your address is changed',
    html`<p>You sign in with <strong>${email}</strong> from now on. Every other session of your account has ended.</p>`,
  )

/** Below a refusal. */
export const afterEmailChange = html`<p><a href="/account/email">Ask for another code</a></p>`
