import { html, nothing, type Html } from '../pages/html.js'
import { page } from '../pages/page-layout.js'
import type { Control } from './read-controls.js'

const names = { in_place: 'In place', partial: 'Partial', planned: 'Planned' } as const

const join = (parts: readonly Html[]): Html => parts.reduce((all, part) => html`${all}${part}`, nothing)

function proofOf({ cases = [], tests = {} }: Control): Html {
  const named = [
    ...cases.map((id) => `attack case ${id}`),
    ...Object.entries(tests).flatMap(([file, titles]) =>
      titles.map((title) => `${file}: ${typeof title === 'string' ? title : title.test}`),
    ),
  ]
  return named.length === 0
    ? nothing
    : html`<ul>
        ${join(named.map((text) => html`<li>${text}</li>`))}
      </ul>`
}

/** The controls as a page: what is in place first, each with the tests that show it. */
export function controlsPage(controls: readonly Control[]): string {
  const sections = (['in_place', 'partial', 'planned'] as const).map((state) => {
    const rows = controls
      .filter((control) => control.state === state)
      .map((control) => {
        const missing = control.missing ? html`<p>Missing: ${control.missing}</p>` : nothing
        return html`<li><strong>${control.id}</strong> ${control.control}${missing}${proofOf(control)}</li>`
      })
    return html`<h2>${names[state]} (${String(rows.length)})</h2>
      <ul>
        ${join(rows)}
      </ul>`
  })
  const intro = html`<p>
    What this software promises, and what of it is kept. A control that is in place names tests that anybody can run
    (npm test, npm run attack). No certificate (SOC 2, ISO 27001) is held, and no outside penetration test has been
    made.
  </p>`
  return page('Controls', html`${intro}${join(sections)}`)
}
