import { type CredentialKind, type credentials, type credentialVersions, newId } from '@capstan/migrations'

import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { SealError } from '../vault/seal-client.js'
import { Secret } from '../vault/secret.js'
import { checkCredential } from './check-credential.js'
import type { CredentialFacts, NormalizedKey } from './credential-facts.js'
import { requireWebCertificates } from './require-web-certificates.js'

export type VersionUpload = {
  kind: CredentialKind
  file: { name: string; bytes: Uint8Array }
  password?: string | undefined
  keyAlias?: string | undefined
  keyPassword?: string | undefined
  /** What a file without a certificate does not tell itself; shown, not secret. */
  stated?: { keyId?: string | undefined; issuerId?: string | undefined; teamId?: string | undefined } | undefined
}
export type VersionTarget = { appId: string; credentialId: string; version: number }
export type UploadedFacts = CredentialFacts & { issuerId?: string }
export type PreparedVersion = {
  /** A row of `credential_versions`; its `status` is the caller's to choose. */
  row: typeof credentialVersions.$inferInsert & { facts: UploadedFacts }
  /** What the credential is of, read from the file. */
  type: (typeof credentials.$inferSelect)['type']
}

const KEYSTORE_BYTES = 1024 * 1024
const TEXT_BYTES = 16 * 1024
const mimeTypes = {
  pkcs12: 'application/x-pkcs12',
  jks: 'application/x-java-keystore',
  pem: 'application/x-pem-file',
  p8: 'application/pkcs8',
  json: 'application/json',
} as const

/**
 * Checks an uploaded file as its kind asks, in a child process, and has the broker seal it. Nothing is stored yet.
 * `consent` may refuse what was read before a key is made for it.
 */
export async function prepareVersion(
  ctx: Context,
  target: VersionTarget,
  upload: VersionUpload,
  consent: (facts: UploadedFacts) => Promise<void> = async () => undefined,
): Promise<PreparedVersion> {
  checkUpload(upload)
  const keyId = keyIdOf(upload)
  if (upload.kind === 'web.signing-key') await requireWebCertificates(ctx)
  const { facts: found, key } = await inspect(ctx.orgId, upload)
  const { issuerId, teamId } = upload.stated ?? {}
  const facts = {
    ...found,
    keyId: keyId ?? found.keyId,
    teamId: teamId ?? found.teamId,
    ...(issuerId === undefined ? {} : { issuerId }),
  }
  await consent(facts)
  const sealed = await seal(ctx, target, upload, { facts, key })
  const row = {
    id: newId(),
    orgId: ctx.orgId,
    credentialId: target.credentialId,
    version: target.version,
    ...sealed,
    fingerprintSha256: facts.fingerprintSha256,
    keyAlias: facts.keyAlias,
    fileName: cleanFileName(upload.file.name),
    fileMimeType: mimeTypes[facts.format],
    fileSizeBytes: upload.file.bytes.byteLength,
    expiresAt: facts.notAfter === null ? null : new Date(facts.notAfter),
    facts,
    createdBy: ctx.actor.type === 'user' ? ctx.actor.id : null,
  }
  return { row, type: facts.type }
}

function checkUpload({ kind, file, password }: VersionUpload): void {
  const size = file.bytes.byteLength
  if (kind === 'android.keystore' || kind === 'apple.identity') {
    if (size > KEYSTORE_BYTES) {
      throw new Problem(
        'keystore-too-large',
        `file: a keystore has ${KEYSTORE_BYTES} bytes at most; this is another file.`,
      )
    }
  } else if (size > TEXT_BYTES) {
    throw new Problem(
      'credential-file-too-large',
      `file: such a key has ${TEXT_BYTES} bytes at most; this is another file.`,
    )
  }
  if (kind === 'android.keystore' && !password) {
    throw new Problem('keystore-password-missing', 'password: give the password of the keystore.')
  }
}

function inspect(org: string, { kind, file, password = '', keyAlias, keyPassword }: VersionUpload) {
  return checkCredential(org, {
    kind,
    bytes: file.bytes,
    password,
    ...(keyAlias && { keyAlias }),
    ...(keyPassword && { keyPassword }),
  })
}

/** Apple names a key's file after its id; nothing inside the file tells it. */
function keyIdOf({ kind, file, stated }: VersionUpload): string | null {
  if (kind !== 'apple.app-store-connect-key' && kind !== 'apple.push-key') return null
  const keyId = stated?.keyId ?? /(?:^|[/\\])[A-Za-z]*Key_([A-Z0-9]{10})\.p8$/.exec(file.name)?.[1]
  if (keyId !== undefined) return keyId
  throw new Problem(
    'key-id-missing',
    'keyId: the key id (ten letters and digits) stands in the name of the file that Apple gave out, AuthKey_<id>.p8. Keep that name, or give the id.',
  )
}

/** File, passwords and the normalised key in one payload under one envelope, so that they cannot be mixed. */
async function seal(
  ctx: Context,
  target: VersionTarget,
  upload: VersionUpload,
  { facts, key }: { facts: CredentialFacts; key: NormalizedKey },
) {
  const password = upload.password ?? ''
  using payload = new Secret(
    Buffer.from(
      JSON.stringify({
        fileB64: Buffer.from(upload.file.bytes).toString('base64'),
        filename: cleanFileName(upload.file.name),
        password,
        keyAlias: facts.keyAlias ?? '',
        keyPassword: upload.keyPassword ? upload.keyPassword : password,
        ...key,
      }),
      'utf8',
    ),
  )
  const { appId: app, credentialId: credential, version } = target
  try {
    return await ctx.seal.seal(
      { org: ctx.orgId, app, credential, kind: upload.kind, version: String(version) },
      payload,
    )
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'credential was not sealed')
    throw notStored()
  }
}

/** Never 5xx on a multipart request: the official CLI would hang while it repeats it. */
export function notStored(): Problem {
  return new Problem(
    'upload-not-stored',
    'The credential could not be encrypted just now, so nothing was stored. Upload it again in a moment.',
  )
}

export function cleanFileName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? ''
  return (
    last
      .replaceAll(/[^\P{C}]/gu, '')
      .toWellFormed()
      .slice(0, 200) || 'keystore'
  )
}
