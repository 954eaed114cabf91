export type KeystoreEntry = {
  alias: string
  /** The key's own certificate, DER; null when the keystore names none for it. */
  certificate: Buffer | null
  /** PKCS#8 DER; refuses a wrong key password. */
  openKey(keyPassword: string | undefined): Buffer
}
export type OpenedKeystore = {
  format: 'pkcs12' | 'jks'
  entries: KeystoreEntry[]
  /** Whether Java's signing tools open it too. */
  javaReads: boolean
  /** Every certificate of the file, DER. */
  certificates: Buffer[]
}

/** The command that makes a PKCS12 keystore out of another format. */
export function conversionCommand(type: string): string {
  return `keytool -importkeystore -srckeystore <your file> -srcstoretype ${type} -destkeystore release.p12 -deststoretype PKCS12`
}

/** Text out of a file that a stranger made. */
export function shown(text: string): string {
  return text.replaceAll(/[^\P{C}]/gu, '?').slice(0, 80)
}
