/** `Content-Disposition` that makes a browser save the file under `name` (RFC 6266), whatever characters it has. */
export function attachmentNamed(name: string): string {
  const plain = name.replace(/[^\w.\- ]/g, '_').slice(0, 128)
  const encoded = encodeURIComponent(name.slice(0, 128).toWellFormed()).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`
}
