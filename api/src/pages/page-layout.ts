import { html, type Html, nothing } from './html.js'

type More = { scripts?: readonly string[]; next?: string }

/** One page, from which the browser goes on to `next` by itself: no inline script or style, so that the policy of `page-headers.ts` can forbid them. */
export function page(title: string, content: Html, { scripts = [], next }: More = {}): string {
  const tags = scripts.map((script) => html`<script src="${script}" defer></script>`.html)
  const head = html`${{ html: tags.join('') }}
  ${next ? html`<meta http-equiv="refresh" content="0; url=${next}" />` : nothing}`
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
