/** The forms in which a secret could lie about: raw, as hex, and as base64 wherever in a longer text it begins. */
export function formsOf(secret: string | Uint8Array): Buffer[] {
  const bytes = Buffer.from(secret)
  const hex = bytes.toString('hex')
  // The ends depend on what stands beside them and are left off.
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '')
      .slice(shift === 0 ? 0 : shift + 1, -2),
  )
  const url = typeof secret === 'string' ? [encodeURIComponent(secret)] : []
  const base64url = base64.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'))
  return [bytes, ...new Set([hex, hex.toUpperCase(), ...base64, ...base64url, ...url])].map((form) => Buffer.from(form))
}

/** Pieces of a file, short enough not to be cut in two by every page. */
export function piecesOf(file: Uint8Array): Uint8Array[] {
  const length = Math.min(32, file.length)
  return [0.15, 0.4, 0.65, 0.85].map((part) => {
    const start = Math.floor((file.length - length) * part)
    return file.subarray(start, start + length)
  })
}
