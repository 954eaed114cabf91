import { html, type Html } from './html.js'

/** By password and second factor, or by passkey (with the script `/login/passkey.js`); `hidden` goes along. */
export const signInForms = (action: string, hidden: Html): Html =>
  html`<form method="post" action="${action}">
      ${hidden}
      <label for="email">E-mail address</label>
      <input id="email" name="email" type="email" autocomplete="username" required autofocus />
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required />
      <label for="factor">Code of your authenticator app, or a recovery code (if you have set one up)</label>
      <input id="factor" name="factor" autocomplete="one-time-code" maxlength="50" />
      <button>Sign in</button>
    </form>
    <p><a href="/login/password">Forgotten your password?</a></p>
    <form method="post" action="${action}" id="passkey" hidden>
      ${hidden}
      <input type="hidden" name="assertion" />
      <button class="quiet">Sign in with a passkey</button>
      <p class="notice" id="passkey-problem" role="alert"></p>
    </form>`
