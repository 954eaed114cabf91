export const refusalCodes = [
  'keystore-unrecognized',
  'keystore-unsupported-format',
  'keystore-algorithm-unsupported',
  'keystore-mac-missing',
  'keystore-password-wrong',
  'keystore-password-encoding',
  'keystore-alias-not-found',
  'keystore-no-private-key',
  'keystore-several-keys',
  'keystore-key-mismatch',
  'keystore-certificate-expired',
  'keystore-too-costly',
  'keystore-damaged',
  'key-password-wrong',
  'certificate-not-yet-valid',
  'certificate-key-weak',
  'certificate-team-missing',
  'certificate-not-for-code-signing',
  'profile-unrecognized',
  'profile-damaged',
  'profile-signature-invalid',
  'profile-untrusted',
  'profile-expired',
  'private-key-unrecognized',
  'private-key-encrypted',
  'private-key-unsuitable',
  'service-account-unrecognized',
  'service-account-google-services',
  'service-account-key-invalid',
  'service-account-email-invalid',
  'service-account-token-uri-refused',
] as const
export type RefusalCode = (typeof refusalCodes)[number]

/** A file that is not taken, and what to do about it. The message never quotes a password or a key. */
export class CredentialRefusal extends Error {
  override name = 'CredentialRefusal' as const
  readonly code: RefusalCode
  constructor(code: RefusalCode, message: string) {
    super(message)
    this.code = code
  }
}
