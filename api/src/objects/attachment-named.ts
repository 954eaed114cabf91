/** `Content-Disposition` that makes a browser save the file under `name` (RFC 6266), whatever characters it has. */
export function attachmentNamed(name: string): string {
  const plain = name.replace(/[^\w.\- ]/g, '_').slice(0, 128)
  const encoded = encodeURIComponent(wellFormed(name.slice(0, 128))).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`
}

/** A cut surrogate pair would make `encodeURIComponent` throw. */
function wellFormed(text: string): string {
  return Buffer.from(text, 'utf8').toString('utf8')
}
