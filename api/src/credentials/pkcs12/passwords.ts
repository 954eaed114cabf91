/** The ways in which programs write one password down before they derive keys from it. */
export type PasswordForms = {
  /** For the MAC and for PBE: BMPStrings, the usual one first. */
  bmp: readonly Buffer[]
  /** For PBES2: bytes, the usual ones first. */
  bytes: readonly Buffer[]
}

export function passwordForms(password: string): PasswordForms {
  // Keychain derives from no bytes at all where OpenSSL derives from an empty, terminated string.
  if (password === '') return { bmp: [bmpString(''), Buffer.alloc(0)], bytes: [Buffer.alloc(0)] }
  const utf8 = Buffer.from(password, 'utf8')
  if (utf8.length === password.length) return { bmp: [bmpString(password)], bytes: [utf8] }
  // OpenSSL before 1.1, or under a locale without UTF-8, takes each byte for a character.
  const misread = bmpString(utf8.toString('latin1'))
  return { bmp: [bmpString(password), misread], bytes: [utf8, bmpString(password), Buffer.from(password, 'latin1')] }
}

/** Big-endian UTF-16 with a terminator. */
function bmpString(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf16le').swap16()
}
