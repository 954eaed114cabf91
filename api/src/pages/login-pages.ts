import { html, nothing } from './html.js'
import { notice, page } from './page-layout.js'
import { signInForms } from './sign-in-forms.js'

export type Asked = { code: string; problem?: string | undefined }

export function signInPage({ code, problem }: Asked): string {
  const hidden = html`<input type="hidden" name="code" value="${code}" />`
  const content = html`${problem ? notice(problem) : nothing} ${signInForms('/login', hidden)}
    <form method="get" action="/login/organization">
      ${hidden}
      <label for="organization">Id of your organization, if it has a provider of its own</label>
      <input id="organization" name="organization" maxlength="36" autocomplete="organization" required />
      <button class="quiet">Sign in through your organization</button>
    </form>`
  return page('Sign in', content, { scripts: ['/login/passkey.js'] })
}

export function codePage({ code, problem, email }: Asked & { email: string }): string {
  const content = html`${problem ? notice(problem) : nothing}
    <p>You are signed in as <strong>${email}</strong>.</p>
    <form method="post" action="/login/device">
      <label for="code">Code that your command line shows</label>
      <input
        class="code"
        id="code"
        name="code"
        value="${code}"
        autocomplete="off"
        autocapitalize="characters"
        maxlength="20"
        required
        autofocus
      />
      <button>Continue</button>
    </form>
    ${signOut}`
  return page('Sign in a command line', content)
}

export type Waiting = { code: string; email: string; userAgent: string; createdAt: Date; everywhere: boolean }

export function consentPage({ code, email, userAgent, createdAt, everywhere }: Waiting): string {
  const where = everywhere ? 'in all your organizations' : 'in the organization through which you signed in'
  const content = html`<p>A command line wants to act as <strong>${email}</strong>, ${where}.</p>
    <dl>
      <dt>Code</dt>
      <dd class="code">${code}</dd>
      <dt>It says that it is</dt>
      <dd>${userAgent || 'nothing'}</dd>
      <dt>It asked at</dt>
      <dd>${createdAt.toISOString().slice(0, 19).replace('T', ' ')} UTC</dd>
    </dl>
    <p>Allow it only if you have just started this sign-in yourself. Nobody who asks you for a code means well.</p>
    <form method="post" action="/login/device/decision">
      <input type="hidden" name="code" value="${code}" />
      <button name="decision" value="approved">Allow</button>
      <button class="quiet" name="decision" value="denied">Refuse</button>
    </form>
    ${signOut}`
  return page('Allow this command line?', content)
}

export function donePage(decision: 'approved' | 'denied'): string {
  return decision === 'approved'
    ? page(
        'Signed in',
        html`<p>Your command line is signed in. You can close this page.</p>
          ${signOut}`,
      )
    : page(
        'Refused',
        html`<p>The command line was not signed in. You can close this page.</p>
          ${signOut}`,
      )
}

const signOut = html`<form method="post" action="/logout"><button class="quiet">Sign out of this page</button></form>`
