import { credentials, credentialVersions, newId, withOrg } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'

import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { Problem } from '../problems.js'
import { SealError } from '../vault/seal-client.js'
import { Secret } from '../vault/secret.js'
import { checkKeystore } from './check-keystore.js'
import { type KeystoreFacts, KeystoreRefusal } from './keystore-verdict.js'
import type { platforms, StoredCredential } from './present-credential.js'

export type CreateCredential = {
  appId: string
  name: string
  platform: (typeof platforms)[number]
  file: { name: string; bytes: Uint8Array }
  password: string | undefined
  keyAlias: string | undefined
  keyPassword: string | undefined
}

const KIND = 'android.keystore'
const MAX_FILE_BYTES = 1024 * 1024
const mimeTypes = { pkcs12: 'application/x-pkcs12', jks: 'application/x-java-keystore' } as const

/** Takes a signing keystore: opened and checked in a child process, sealed by the broker, stored as an envelope only. */
export async function createCredential(ctx: Context, input: CreateCredential): Promise<StoredCredential> {
  requireScope(ctx, 'credentials:write')
  checkRequest(input)
  await refuseTakenName(ctx, input)
  const facts = await inspect(input)
  const id = newId()
  const sealed = await seal(ctx, id, input, facts)
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const createdBy = ctx.actor.type === 'user' ? ctx.actor.id : null
    const [credential] = await tx
      .insert(credentials)
      .values({
        id,
        orgId: ctx.orgId,
        appId: input.appId,
        name: input.name,
        nameLower: input.name.toLowerCase(),
        platform: input.platform,
        type: isDebugKey(facts) ? 'development' : 'production',
        kind: KIND,
        currentVersion: 1,
        createdBy,
        updatedBy: createdBy,
      })
      .onConflictDoNothing()
      .returning()
    if (credential === undefined) throw nameTaken(input)
    const [inserted] = await tx
      .insert(credentialVersions)
      .values({
        id: newId(),
        orgId: ctx.orgId,
        credentialId: id,
        version: 1,
        ...sealed,
        fingerprintSha256: facts.fingerprintSha256,
        keyAlias: facts.keyAlias,
        fileName: cleanFileName(input.file.name),
        fileMimeType: mimeTypes[facts.format],
        fileSizeBytes: input.file.bytes.byteLength,
        expiresAt: new Date(facts.notAfter),
        facts,
        createdBy,
      })
      .returning()
    if (inserted === undefined) throw new Error('The credential version was not inserted.')
    await recordAudit(tx, ctx, {
      action: 'credential.created',
      target: { app: input.appId, credential: id },
      data: { platform: input.platform, kind: KIND, version: 1, fingerprint: facts.fingerprintSha256 },
    })
    const { envelope: _envelope, ...version } = inserted
    return { credential, version }
  })
}

function checkRequest({ platform, file, password }: CreateCredential): void {
  if (platform !== 'android') {
    throw new Problem(
      'credential-kind-unsupported',
      `Signing credentials for ${platform} are not there yet; Android keystores are.`,
    )
  }
  if (file.bytes.byteLength > MAX_FILE_BYTES) {
    throw new Problem(
      'keystore-too-large',
      `file: a keystore has ${MAX_FILE_BYTES} bytes at most; this is another file.`,
    )
  }
  if (!password) throw new Problem('keystore-password-missing', 'password: give the password of the keystore.')
}

async function refuseTakenName(ctx: Context, input: CreateCredential): Promise<void> {
  const same = and(
    eq(credentials.appId, input.appId),
    eq(credentials.platform, input.platform),
    eq(credentials.nameLower, input.name.toLowerCase()),
  )
  const [taken] = await withOrg(ctx.db, ctx.orgId, (tx) =>
    tx.select({ id: credentials.id }).from(credentials).where(same),
  )
  if (taken !== undefined) throw nameTaken(input)
}

export function nameTaken({ name, platform }: { name: string; platform: string }): Problem {
  return new Problem(
    'credential-name-taken',
    `The app has an ${platform} certificate named "${name}" already. Choose another name, or delete that one first.`,
  )
}

async function inspect({ file, password = '', keyAlias, keyPassword }: CreateCredential): Promise<KeystoreFacts> {
  const fileB64 = Buffer.from(file.bytes).toString('base64')
  const question = { fileB64, password, ...(keyAlias && { keyAlias }), ...(keyPassword && { keyPassword }) }
  try {
    return await checkKeystore(question)
  } catch (error) {
    throw error instanceof KeystoreRefusal ? new Problem(error.code, error.message) : error
  }
}

/** File and passwords in one payload under one envelope, so that they cannot be mixed with another's. */
async function seal(ctx: Context, id: string, input: CreateCredential, facts: KeystoreFacts) {
  const password = input.password ?? ''
  const keyPassword = input.keyPassword ? input.keyPassword : password
  using payload = new Secret(
    Buffer.from(
      JSON.stringify({
        fileB64: Buffer.from(input.file.bytes).toString('base64'),
        filename: cleanFileName(input.file.name),
        password,
        keyAlias: facts.keyAlias,
        keyPassword,
      }),
      'utf8',
    ),
  )
  const envelopeContext = { org: ctx.orgId, app: input.appId, credential: id, kind: KIND, version: '1' }
  try {
    return await ctx.seal.seal(envelopeContext, payload)
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
