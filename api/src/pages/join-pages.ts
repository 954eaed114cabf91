import type { ShownInvitation } from '../invitations/show-invitation.js'
import { html, type Html, nothing } from './html.js'
import { hiddenSecret, mailedCodeField } from './mailed-code.js'
import { newPasswordField } from './new-password-field.js'
import { notice, page } from './page-layout.js'
import { signInForms } from './sign-in-forms.js'

export function invitationCodePage(): string {
  const content = html`<form method="post" action="/join">
    ${mailedCodeField('Code of your invitation (it begins with cj_)', 'send')}
    <button>Continue</button>
  </form>`
  return page('Your invitation', content, { scripts: ['/login/mailed-code.js'] })
}

export type Joining = {
  invitation: ShownInvitation
  secret: string
  /** Of who is signed in here; null: nobody. */
  email: string | null
  problem?: string | undefined
}

export function invitationPage({ invitation, secret, email, problem }: Joining): string {
  const { organization, role, invitedBy, expiresAt } = invitation
  const content = html`${problem ? notice(problem) : nothing}
    <dl>
      <dt>Organization</dt>
      <dd>${organization}</dd>
      <dt>Role</dt>
      <dd>${role === 'none' ? 'none: what you are given for single apps' : role}</dd>
      <dt>Invited by</dt>
      <dd>${invitedBy.name === null ? invitedBy.email : `${invitedBy.name} (${invitedBy.email})`}</dd>
      <dt>Valid until</dt>
      <dd>${expiresAt.toISOString().slice(0, 16).replace('T', ' ')} UTC</dd>
    </dl>
    ${email === null ? strangerForms(secret, invitation.email) : acceptForm(secret, email)}
    <form method="post" action="/join/rejection">
      ${hiddenSecret(secret)}
      <button class="quiet">Decline this invitation</button>
    </form>`
  return page(`Join ${organization}?`, content, { scripts: ['/login/passkey.js'] })
}

const signIn = (secret: string): Html => signInForms('/join/sign-in', hiddenSecret(secret))

const acceptForm = (secret: string, email: string): Html =>
  html`<p>You are signed in as <strong>${email}</strong>.</p>
    <form method="post" action="/join/acceptance">${hiddenSecret(secret)}<button>Accept</button></form>
    <details>
      <summary>Sign in as somebody else</summary>
      ${signIn(secret)}
    </details>`

const strangerForms = (secret: string, email: string): Html =>
  html`<h2>If you have an account here</h2>
    ${signIn(secret)}
    <h2>If you are new here</h2>
    <form method="post" action="/join/account">
      ${hiddenSecret(secret)}
      <label for="new-email">E-mail address</label>
      <input id="new-email" value="${email}" autocomplete="username" readonly />
      <label for="name">Name that others see (optional)</label>
      <input id="name" name="name" autocomplete="name" maxlength="200" />
      ${newPasswordField}
      <button>Make an account and join</button>
    </form>`

export const joinedPage = (): string =>
  page(
    'Joined',
    html`<p>You belong to the organization now. You can close this page.</p>
      <p><a href="/login/device">Sign in a command line</a></p>`,
  )

export const accountMadePage = (): string =>
  page(
    'Joined',
    html`<p>Your account is made, and you belong to the organization.</p>
      <p><a href="/login/device">Sign in with your new password</a></p>`,
  )

export const declinedPage = (): string =>
  page(
    'Declined',
    html`<p>You declined the invitation, and nobody can use it any more. You can close this page.</p>
      <p>If that was a mistake, ask whoever invited you for another one.</p>`,
  )

/** Below a refusal. */
export const afterInvitation = html`<p>
    If you have joined with it before, you are in: <a href="/login/device">sign in</a>. Else ask whoever invited you.
  </p>
  <p><a href="/join">Enter another code</a></p>`
