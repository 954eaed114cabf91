export const style = `:root { color-scheme: light dark; --ink: #1a1d21; --paper: #fff; --line: #c9ced6; --act: #0b57d0; --back: #f3f5f8; --warn: #9a1c1c }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #1c1f24; --line: #4a5058; --act: #8ab4f8; --back: #111316; --warn: #f2a0a0 }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 26rem; margin: 10vh auto; padding: 2rem; background: var(--paper); border: 1px solid var(--line); border-radius: 8px }
.brand { margin: 0; font-weight: 600; opacity: .7 }
h1 { margin: 0 0 1rem; font-size: 1.4rem; overflow-wrap: anywhere }
h2 { margin: 2rem 0 0; font-size: 1.1rem }
a, summary { color: var(--act) }
summary { margin-top: 1.5rem; cursor: pointer }
label { display: block; margin-top: 1rem; font-weight: 600 }
input { width: 100%; padding: .6rem; border: 1px solid var(--line); border-radius: 6px; background: transparent; color: inherit; font: inherit }
.code { font: 600 1.5rem ui-monospace, monospace; letter-spacing: .1em }
button { width: 100%; margin-top: 1rem; padding: .7rem; border: 1px solid var(--act); border-radius: 6px; background: var(--act); color: var(--paper); font: inherit; font-weight: 600; cursor: pointer }
button.quiet { background: transparent; color: var(--act) }
button:focus-visible, input:focus-visible, a:focus-visible, summary:focus-visible { outline: 3px solid var(--act); outline-offset: 2px }
small { display: block }
.notice { color: var(--warn); font-weight: 600 }
dt { font-weight: 600 } dd { margin: 0 0 .5rem; overflow-wrap: anywhere }
`

/** Signs in with a passkey: asks for a challenge, lets the browser answer it, and sends the answer as a form. */
export const passkeyScript = `const toBytes = (text) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

const form = document.getElementById('passkey')
const problem = document.getElementById('passkey-problem')
form.hidden = !('PublicKeyCredential' in window)
form.addEventListener('submit', async (event) => {
  event.preventDefault()
  problem.textContent = ''
  try {
    const answer = await fetch('/v1/passkeys/challenges', { method: 'POST' })
    const options = await answer.json()
    if (!answer.ok) throw new Error(options.message)
    const { id, response } = await navigator.credentials.get({
      publicKey: { ...options, allowCredentials: [], challenge: toBytes(options.challenge) },
    })
    form.elements.assertion.value = JSON.stringify({
      id,
      rawId: id,
      type: 'public-key',
      clientExtensionResults: {},
      response: {
        clientDataJSON: toText(response.clientDataJSON),
        authenticatorData: toText(response.authenticatorData),
        signature: toText(response.signature),
        userHandle: response.userHandle ? toText(response.userHandle) : null,
      },
    })
    form.submit()
  } catch (error) {
    problem.textContent = error.message
  }
})
`

/**
 * Takes a mailed code out of the part of the address that browsers keep to themselves, so that it neither stays in the
 * history nor on the screen; sends the form where that alone changes nothing.
 */
export const mailedCodeScript = `const field = document.querySelector('[data-mailed]')
function take() {
  const code = location.hash.slice(1)
  if (!field || !/^c[a-z]_[0-9A-Za-z]{36}$/.test(code)) return
  history.replaceState(null, '', location.pathname)
  field.value = code
  if (field.dataset.mailed === 'send') field.form.submit()
  else field.form.querySelector('[type=password]').focus()
}
addEventListener('hashchange', take)
take()
`
