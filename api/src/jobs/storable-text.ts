/** PostgreSQL keeps no NUL character and no half of a surrogate pair; a build may print both. */
export function toStorable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\u{FFFD}')
}
