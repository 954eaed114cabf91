import { z } from 'zod'

/** What is asked about a keystore. Travels to the child over its standard input, never in arguments or environment. */
export const KeystoreQuestion = z.object({
  fileB64: z.base64(),
  password: z.string(),
  keyAlias: z.string().optional(),
  keyPassword: z.string().optional(),
})
export type KeystoreQuestion = z.infer<typeof KeystoreQuestion>

/** Facts without secrets, stored beside the envelope and shown. */
export const KeystoreFacts = z.object({
  format: z.enum(['pkcs12', 'jks']),
  /** As the keystore spells it. */
  keyAlias: z.string(),
  fingerprintSha256: z.string().regex(/^[0-9a-f]{64}$/),
  fingerprintSha1: z.string().regex(/^[0-9a-f]{40}$/),
  subject: z.string(),
  serialNumber: z.string(),
  notBefore: z.iso.datetime(),
  notAfter: z.iso.datetime(),
  keyType: z.string(),
  keyBits: z.number().int().nullable(),
  warnings: z.array(z.string()),
})
export type KeystoreFacts = z.infer<typeof KeystoreFacts>

const keystoreRefusals = [
  'keystore-unrecognized',
  'keystore-unsupported-format',
  'keystore-password-wrong',
  'keystore-alias-not-found',
  'keystore-no-private-key',
  'keystore-key-mismatch',
  'keystore-certificate-expired',
  'keystore-too-costly',
  'keystore-damaged',
  'key-password-wrong',
] as const
export type KeystoreRefusalCode = (typeof keystoreRefusals)[number]

export const KeystoreVerdict = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), facts: KeystoreFacts }),
  z.object({ ok: z.literal(false), code: z.enum(keystoreRefusals), message: z.string() }),
])
export type KeystoreVerdict = z.infer<typeof KeystoreVerdict>

/** A keystore that is not taken, and what to do about it. The message never quotes a password. */
export class KeystoreRefusal extends Error {
  override name = 'KeystoreRefusal' as const
  readonly code: KeystoreRefusalCode
  constructor(code: KeystoreRefusalCode, message: string) {
    super(message)
    this.code = code
  }
}

export type KeystoreEntry = {
  alias: string
  /** The key's own certificate, DER; null when the keystore has none for it. */
  certificate: Buffer | null
  /** PKCS#8 DER; refuses a wrong key password. */
  openKey(keyPassword: string | undefined): Buffer
}
export type OpenedKeystore = { format: 'pkcs12' | 'jks'; entries: KeystoreEntry[] }

/** The command that makes a PKCS12 keystore out of another format. */
export function conversionCommand(type: string): string {
  return `keytool -importkeystore -srckeystore <your file> -srcstoretype ${type} -destkeystore release.p12 -deststoretype PKCS12`
}
