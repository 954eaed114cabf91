import { importPlatformKey, openEnvelope } from '../../release/index.js'
import { CommandError } from '../command.js'

const payloadType = 'application/vnd.capstan.deletion-certificate+json'

/** What a deletion certificate states. */
export interface DeletionStatement {
  v: 1
  id: string
  org: string
  subject: { kind: 'credential' | 'credential-version' | 'organization'; id: string }
  versions: { credential: string; version: number; fingerprint: string; kekId: string; kekVersion: number }[]
  destroyedAt: string
  backupsUntil: string
}

/** Checks the signature over the exact bytes by the pinned key, and only then reads them. */
export async function verifyDeletion(text: string, publicKey: string): Promise<DeletionStatement> {
  let envelope: unknown
  try {
    envelope = JSON.parse(text)
  } catch {
    throw new CommandError('CERTIFICATE_MALFORMED', 'This is not a deletion certificate.')
  }
  const key = await importPlatformKey(publicKey).catch(() => {
    throw new CommandError('KEY_MALFORMED', 'The key is not one Ed25519 public key in SPKI PEM.')
  })
  const { payload } = await openEnvelope(envelope, payloadType, [key]).catch(() => {
    throw new CommandError(
      'BAD_SIGNATURE',
      'This is not a deletion certificate that the given key signed. Ask for the certificate and the key again.',
    )
  })
  const statement = JSON.parse(Buffer.from(payload).toString('utf8')) as DeletionStatement
  if (statement.v !== 1)
    throw new CommandError('CERTIFICATE_VERSION', 'The certificate is of a newer kind; update capstan.')
  return statement
}
