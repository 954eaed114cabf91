const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** HTML that may stand in a page as it is. Only `html` makes it. */
export type Html = { readonly html: string }

/** A template in which every value is text, unless it is HTML made here. */
export function html(parts: TemplateStringsArray, ...values: (string | Html)[]): Html {
  const rest = values.map((value, index) => escape(value) + (parts[index + 1] ?? ''))
  return { html: (parts[0] ?? '') + rest.join('') }
}

const escape = (value: string | Html): string =>
  typeof value === 'string' ? value.replaceAll(/[&<>"']/g, (character) => entities[character] ?? '') : value.html

export const nothing: Html = { html: '' }
