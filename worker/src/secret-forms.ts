const minimumChars = 6
const minimumLineChars = 8
/** A longer secret is looked for in its likeliest spellings only: the search grows with every form of every line. */
const longText = 2_048

/** Values so ordinary that masking them would only spoil the log. */
const ordinaryValues = new Set([
  'production',
  'development',
  'staging',
  'preview',
  'testing',
  'release',
  'android',
  'localhost',
])

/**
 * Every spelling of a secret that a build tool is likely to print: as it is, line by line, with Windows line ends, as a
 * JSON, URL, form, XML or shell string, in hexadecimal, and in base64 at each of the three alignments inside a longer
 * text. Masking is a seat-belt: the boundary is that builds are not given what they must not print.
 */
export function secretForms(secret: string): Buffer[] {
  if (secret.length < minimumChars || ordinaryValues.has(secret.toLowerCase())) return []
  const lines = secret.split(/\r?\n/)
  const texts = new Set<string>([secret, lines.join('\r\n'), lines.join('\n'), secret.trim()])
  const parts = [...(lines.length > 1 ? lines : []), ...jsonLeaves(secret)].map((part) => part.trim())
  for (const part of parts) if (part.length >= minimumLineChars) texts.add(part)
  const forms = new Set<string>()
  for (const text of texts) {
    for (const form of formsOf(text, secret)) forms.add(form)
  }
  return [...forms].filter((form) => form.length >= minimumChars).map((form) => Buffer.from(form, 'utf8'))
}

/** The strings inside a secret that is a JSON document, such as a service account's key file. */
function jsonLeaves(secret: string): string[] {
  if (!/^\s*[{[]/.test(secret)) return []
  const leaves: string[] = []
  try {
    JSON.parse(secret, (_, value: unknown) => {
      if (typeof value === 'string') leaves.push(value, ...value.split('\n'))
      return value
    })
  } catch {
    return []
  }
  return leaves
}

function formsOf(text: string, secret: string): string[] {
  if (text.length > longText) return [text, ...base64At(Buffer.from(text, 'utf8'), 0)]
  return secret.length > longText ? plainForms(text) : allForms(text)
}

function allForms(text: string): string[] {
  return [...textForms(text), ...binaryForms(Buffer.from(text, 'utf8'))]
}

function plainForms(text: string): string[] {
  const base64 = [0, 1, 2].flatMap((offset) => base64At(Buffer.from(text, 'utf8'), offset))
  return [text, JSON.stringify(text).slice(1, -1), ...base64]
}

function textForms(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1)
  const url = encodeURIComponent(text)
  const strictUrl = url.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
  const form = strictUrl.replaceAll('%20', '+')
  return [
    text,
    json,
    json.replaceAll('/', '\\/'),
    asciiOnly(json),
    asciiOnly(json).replaceAll('/', '\\/'),
    JSON.stringify(json).slice(1, -1),
    ...[url, strictUrl, form].flatMap((encoded) => [encoded, lowerEscapes(encoded)]),
    encodeURI(text),
    xml(text),
    text.replaceAll("'", "'\\''"),
  ]
}

function binaryForms(bytes: Buffer): string[] {
  const hex = bytes.toString('hex')
  const spaced = hex.replaceAll(/(..)(?=.)/g, '$1 ')
  const base64 = [0, 1, 2].flatMap((offset) => base64At(bytes, offset))
  return [hex, hex.toUpperCase(), spaced, spaced.toUpperCase(), ...base64.flatMap((text) => [text, urlSafe(text)])]
}

/** The characters that depend on the secret alone, when `offset` unknown bytes stand before it and others behind it. */
function base64At(bytes: Buffer, offset: number): string[] {
  const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString('base64')
  const from = Math.ceil((offset * 8) / 6)
  const until = Math.floor(((offset + bytes.length) * 8) / 6)
  const whole = encoded.slice(from, until)
  // `base64` and PEM tools break lines; a secret that starts the text fills whole lines.
  const wrapped =
    offset > 0 ? [] : [64, 76].filter((width) => whole.length > width).flatMap((width) => slices(whole, width))
  return [whole, ...wrapped.filter((line) => line.length >= minimumLineChars)]
}

function slices(text: string, width: number): string[] {
  return Array.from({ length: Math.ceil(text.length / width) }, (_, n) => text.slice(n * width, (n + 1) * width))
}

const urlSafe = (base64: string) => base64.replaceAll('+', '-').replaceAll('/', '_')
const lowerEscapes = (url: string) => url.replace(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase())
const asciiOnly = (json: string) =>
  json.replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
const xml = (text: string) =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&apos;')
