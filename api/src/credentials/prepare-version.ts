import { type CredentialKind, type credentials, credentialVersions, newId } from '@capstan/migrations'

import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { SealError } from '../vault/seal-client.js'
import { Secret } from '../vault/secret.js'
import { checkKeystore } from './check-keystore.js'
import { type KeystoreFacts, KeystoreRefusal } from './keystore-verdict.js'

export type VersionUpload = {
  kind: CredentialKind
  file: { name: string; bytes: Uint8Array }
  password?: string | undefined
  keyAlias?: string | undefined
  keyPassword?: string | undefined
}
export type VersionTarget = { appId: string; credentialId: string; version: number }
export type PreparedVersion = {
  /** A row of `credential_versions`; its `status` is the caller's to choose. */
  row: typeof credentialVersions.$inferInsert
  /** What the credential is of, read from the file. */
  type: (typeof credentials.$inferSelect)['type']
}

const MAX_FILE_BYTES = 1024 * 1024
const mimeTypes = { pkcs12: 'application/x-pkcs12', jks: 'application/x-java-keystore' } as const

/** Checks an uploaded file as its kind asks, in a child process, and has the broker seal it. Nothing is stored yet. */
export async function prepareVersion(
  ctx: Context,
  target: VersionTarget,
  upload: VersionUpload,
): Promise<PreparedVersion> {
  checkSize(upload)
  const facts = await inspect(upload)
  const sealed = await seal(ctx, target, upload, facts)
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
    expiresAt: new Date(facts.notAfter),
    facts,
    createdBy: ctx.actor.type === 'user' ? ctx.actor.id : null,
  }
  return { row, type: isDebugKey(facts) ? 'development' : 'production' }
}

function checkSize({ file, password }: VersionUpload): void {
  if (file.bytes.byteLength > MAX_FILE_BYTES) {
    throw new Problem(
      'keystore-too-large',
      `file: a keystore has ${MAX_FILE_BYTES} bytes at most; this is another file.`,
    )
  }
  if (!password) throw new Problem('keystore-password-missing', 'password: give the password of the keystore.')
}

async function inspect({ file, password = '', keyAlias, keyPassword }: VersionUpload): Promise<KeystoreFacts> {
  const fileB64 = Buffer.from(file.bytes).toString('base64')
  const question = { fileB64, password, ...(keyAlias && { keyAlias }), ...(keyPassword && { keyPassword }) }
  try {
    return await checkKeystore(question)
  } catch (error) {
    throw error instanceof KeystoreRefusal ? new Problem(error.code, error.message) : error
  }
}

/** File and passwords in one payload under one envelope, so that they cannot be mixed with another's. */
async function seal(ctx: Context, target: VersionTarget, upload: VersionUpload, facts: KeystoreFacts) {
  const password = upload.password ?? ''
  const keyPassword = upload.keyPassword ? upload.keyPassword : password
  using payload = new Secret(
    Buffer.from(
      JSON.stringify({
        fileB64: Buffer.from(upload.file.bytes).toString('base64'),
        filename: cleanFileName(upload.file.name),
        password,
        keyAlias: facts.keyAlias,
        keyPassword,
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
    // Never 5xx on a multipart request: the official CLI would hang while it repeats it.
    throw new Problem(
      'upload-not-stored',
      'The credential could not be encrypted just now, so nothing was stored. Upload it again in a moment.',
    )
  }
}

/** The key that the Android SDK makes on every developer's machine. */
function isDebugKey({ subject }: KeystoreFacts): boolean {
  return /(^|, )CN=Android Debug(,|$)/.test(subject)
}

function cleanFileName(name: string): string {
  const last = name.split(/[/\\]/).at(-1) ?? ''
  return (
    last
      .replaceAll(/[^\P{C}]/gu, '')
      .toWellFormed()
      .slice(0, 200) || 'keystore'
  )
}
