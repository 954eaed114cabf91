/** A secret in the forms in which it could lie about. */
export interface SecretForm {
  readonly secret: string
  readonly form: string
  readonly bytes: Buffer
}

/** Base64 of a piece inside a longer text depends on where the piece begins: all three ways, without the unsure ends. */
function base64Forms(bytes: Buffer): Buffer[] {
  return [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '')
    return Buffer.from(text.slice(shift === 0 ? 0 : shift + 1, -2))
  })
}

function formsOf(secret: string, bytes: Buffer): SecretForm[] {
  const hex = bytes.toString('hex')
  return [
    { secret, form: 'raw', bytes },
    ...base64Forms(bytes).map((form) => ({ secret, form: 'base64', bytes: form })),
    { secret, form: 'hex', bytes: Buffer.from(hex) },
    { secret, form: 'HEX', bytes: Buffer.from(hex.toUpperCase()) },
  ]
}

/** Pieces of a file long enough to be its own and short enough not to be cut by a page or block. */
function piecesOf(bytes: Uint8Array): Buffer[] {
  const length = 36
  const starts = [0.15, 0.4, 0.65, 0.85].map((part) => Math.floor((bytes.length - length) * part))
  return starts.map((start) => Buffer.from(bytes.subarray(start, start + length)))
}

export function secretForms(
  files: Readonly<Record<string, Uint8Array>>,
  texts: Readonly<Record<string, string>>,
): SecretForm[] {
  return [
    ...Object.entries(files).flatMap(([name, bytes]) => piecesOf(bytes).flatMap((piece) => formsOf(name, piece))),
    ...Object.entries(texts).flatMap(([name, text]) => formsOf(name, Buffer.from(text))),
  ]
}

/** Where which secret was found; empty when nowhere. */
export function findSecrets(place: string, content: Buffer, forms: readonly SecretForm[]): string[] {
  return forms
    .filter(({ bytes }) => content.includes(bytes))
    .map(({ secret, form }) => `${secret} (${form}) in ${place}`)
}
