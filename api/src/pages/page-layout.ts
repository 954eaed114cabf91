import { html, type Html } from './html.js'

/** One page: no inline script or style, so that the policy of `page-headers.ts` can forbid them. */
export function page(title: string, content: Html, script?: string): string {
  const head = script ? html`<script src="${script}" defer></script>` : html``
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Capstan</title>
        <link rel="stylesheet" href="/login/style.css" />
        ${head}
      </head>
      <body>
        <main>
          <p class="brand">Capstan</p>
          <h1>${title}</h1>
          ${content}
        </main>
      </body>
    </html> `.html
}

export const notice = (text: string): Html => html`<p class="notice" role="alert">${text}</p>`
