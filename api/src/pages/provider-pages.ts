import { html, nothing } from './html.js'
import { page } from './page-layout.js'

export type Choice = { id: string; name: string }

export function choicePage(providers: readonly Choice[], code: string): string {
  const links = providers.map(
    ({ id, name }) => html`<li><a href="/login/provider/${id}?code=${encodeURIComponent(code)}">${name}</a></li>`,
  )
  const list = html`<ul>
    ${links.length > 0 ? { html: links.map((link) => link.html).join('') } : nothing}
  </ul>`
  const none = html`<p>This organization has no provider of its own, or there is no such organization.</p>`
  return page('Sign in through your organization', links.length > 0 ? list : none)
}

/** A form of our own comes first: a link alone must not sign anybody in as somebody else. */
export function providerPage({ id, name, code, email }: Choice & { code: string; email: string | null }): string {
  const content = html`<form method="post" action="/login/provider">
      <input type="hidden" name="provider" value="${id}" />
      <input type="hidden" name="code" value="${code}" />
      <button name="intent" value="sign-in">Continue to ${name}</button>
      ${
        email === null
          ? nothing
          : html`<button class="quiet" name="intent" value="link">Link ${name} to my account ${email}</button>`
      }
    </form>
    <p>What ${name} confirms counts in its own organization only.</p>`
  return page('Sign in through your organization', content)
}

/** By way of a page, because a form of ours may lead nowhere else. */
export const leavePage = (name: string, url: string): string =>
  page(`Going on to ${name}`, html`<p><a href="${url}">Continue to ${name}</a></p>`, { next: url })

/** By way of a page, because browsers send our own cookie along only from a page of ours. */
export function returnedPage(code: string, linked: boolean): string {
  const next = `/login/device${code ? `?code=${encodeURIComponent(code)}` : ''}`
  const said = linked ? 'The provider is linked to your account.' : 'You are signed in.'
  return page(
    linked ? 'Linked' : 'Signed in',
    html`<p>${said}</p>
      <p><a href="${next}">Continue</a></p>`,
    { next },
  )
}
