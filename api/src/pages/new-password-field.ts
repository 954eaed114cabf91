import { html } from './html.js'

export const passwordRule =
  'Choose a password of at least 12 characters. Several words are better than special characters.'

export const newPasswordField = html`<label for="new-password">New password</label>
  <input
    id="new-password"
    name="password"
    type="password"
    autocomplete="new-password"
    minlength="12"
    maxlength="1024"
    aria-describedby="password-rule"
    required
  />
  <small id="password-rule">At least 12 characters. Several words are better than special characters.</small>`
