import type { KeystorePayload } from '@capstan/migrations/messages'
import { createHash } from 'node:crypto'
import { pack } from 'tar-stream'
import { BuildFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import { secretsDir, workDir } from '../container-profile.js'
import { copyFile } from '../copy-file.js'
import type { AndroidOutput } from '../choose-variant.js'
import { captureCommand, runCommand } from '../run-command.js'
import type { Compiled } from './compile.js'

export type SignedFile = { output: AndroidOutput; containerId: string; path: string; certificateSha256: string }

const unsigned = (output: AndroidOutput) => `${workDir}/unsigned.${output}`
const ready = (output: AndroidOutput) => `${workDir}/ready.${output}`
const signed = (output: AndroidOutput) => `${workDir}/signed.${output}`
const keystore = `${secretsDir}/keystore`
const storePassword = `${secretsDir}/store-password`
const keyPassword = `${secretsDir}/key-password`
const debugAlias = 'androiddebugkey'

/**
 * Signs in a container of its own that has no network and never runs the customer's code. The build container is gone
 * before the credential is opened.
 */
export async function sign(run: BuildRun, sandbox: Sandbox, files: readonly Compiled[]): Promise<SignedFile[]> {
  const containerId = await startSigner(run)
  for (const { output, path } of files) {
    await copyFile(run, {
      ...signing,
      from: { containerId: sandbox.containerId, path },
      to: { containerId, path: unsigned(output) },
      capBytes: run.spec.limits.diskBytes,
    })
  }
  await run.engine.removeContainer(sandbox.containerId)
  // Before the key is there: nothing that reads the customer's file in another format than to sign it meets the key.
  for (const { output } of files) await runCommand(run, { ...signing, containerId, argv: makeReady(output) })
  try {
    const alias = await placeKey(run, containerId)
    const certificateSha256 = await certificateOf(run, containerId, alias)
    for (const { output } of files) {
      const argv = output === 'apk' ? apksignerCommand(alias) : jarsignerCommand(alias)
      await runCommand(run, { ...signing, containerId, argv })
    }
    run.logs.note('sign', `Signed with certificate SHA-256 ${certificateSha256}`)
    return files.map(({ output }) => ({ output, containerId, path: signed(output), certificateSha256 }))
  } finally {
    await removeKey(run, containerId)
  }
}

const signing = { phase: 'sign', failureCode: 'signing-failed', subject: 'Signing' } as const

/** An APK is aligned; a bundle loses the signatures that Gradle may have made with a key of the project. */
function makeReady(output: AndroidOutput): string[] {
  if (output === 'apk') return ['zipalign', '-f', '-p', '4', unsigned(output), ready(output)]
  const signatures = ['SF', 'RSA', 'DSA', 'EC'].map((extension) => `'META-INF/*.${extension}'`).join(' ')
  // zip's exit code 12: there was nothing to take out.
  const script = `cp -- "$1" "$2" && { zip -q -d "$2" ${signatures} >/dev/null || [ $? -eq 12 ]; }`
  return ['sh', '-c', script, 'sh', unsigned(output), ready(output)]
}

async function startSigner(run: BuildRun): Promise<string> {
  return run.engine.startContainer({
    kind: 'signer',
    name: `capstan-${run.spec.buildId}-${run.attempt}-signer`,
    imageId: await run.imageId(),
    labels: run.labels,
    limits: run.spec.limits,
  })
}

/** Returns the alias of the key that now lies on the signer's tmpfs. */
async function placeKey(run: BuildRun, containerId: string): Promise<string> {
  const { signing: credential } = run.spec
  if (credential === null) return makeDebugKey(run, containerId)
  run.logs.note(
    'sign',
    `Opening the credential ${JSON.stringify(credential.name)}, version ${credential.credentialVersion}`,
  )
  const { credentialId, credentialVersion } = credential
  const request = { credentialId, credentialVersion, attempt: run.attempt, step: 'sign' } as const
  const payload = await run.broker.openKeystore(run.leaseToken, request, run.signal)
  for (const password of [payload.password, payload.keyPassword]) run.secrets.add(password)
  await deliverKey(run, containerId, payload)
  return payload.keyAlias
}

async function deliverKey(run: BuildRun, containerId: string, payload: KeystorePayload): Promise<void> {
  const files = [
    { path: keystore, content: Buffer.from(payload.fileB64, 'base64') },
    { path: storePassword, content: Buffer.from(payload.password, 'utf8') },
    { path: keyPassword, content: Buffer.from(payload.keyPassword, 'utf8') },
  ]
  const archive = pack()
  for (const { path, content } of files) {
    const name = path.slice(secretsDir.length + 1)
    archive.entry({ name, mode: 0o400, size: content.length }, content)
  }
  archive.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk)
  const stdin = Buffer.concat(chunks)
  try {
    await runCommand(run, {
      ...signing,
      containerId,
      argv: ['tar', '-x', '-f', '-', '-C', secretsDir, '--no-same-owner', '-p'],
      stdin,
    })
  } finally {
    for (const bytes of [stdin, ...chunks, ...files.map(({ content }) => content)]) bytes.fill(0)
  }
}

const debugKeyScript = `
set -e
umask 0277
head -c 24 /dev/urandom | base64 > ${storePassword}
cp ${storePassword} ${keyPassword}
umask 0077
keytool -genkeypair -noprompt -keystore ${keystore} -storetype PKCS12 -storepass:file ${storePassword} \
  -alias ${debugAlias} -keyalg RSA -keysize 2048 -validity 365 -dname 'CN=Android Debug,O=Android,C=US'`

/** A debug build without a credential is signed with a key that exists for this build only. */
async function makeDebugKey(run: BuildRun, containerId: string): Promise<string> {
  run.logs.note('sign', 'No certificate was named: the debug build is signed with a key made for this build only.')
  await runCommand(run, { ...signing, containerId, argv: ['sh', '-c', debugKeyScript] })
  return debugAlias
}

async function certificateOf(run: BuildRun, containerId: string, alias: string): Promise<string> {
  const argv = ['keytool', '-exportcert', '-keystore', keystore, '-storepass:file', storePassword, '-alias', alias]
  const der = await captureCommand(run, { ...signing, containerId, argv })
  // A keytool that fails prints its reason to stdout.
  if (der[0] !== 0x30) throw new BuildFailure('signing-failed', 'The certificate cannot be read from the keystore.')
  return createHash('sha256').update(der).digest('hex')
}

function apksignerCommand(alias: string): string[] {
  const passwords = ['--ks-pass', `file:${storePassword}`, '--key-pass', `file:${keyPassword}`]
  const key = ['--ks', keystore, '--ks-key-alias', alias, ...passwords]
  return ['apksigner', 'sign', ...key, '--out', signed('apk'), ready('apk')]
}

/** An app bundle is a JAR; the store signs what it makes of it, and knows the developer by this signature. */
function jarsignerCommand(alias: string): string[] {
  const passwords = ['-storepass:file', storePassword, '-keypass:file', keyPassword]
  const digests = ['-digestalg', 'SHA-256', '-sigfile', 'CERT']
  return [
    'jarsigner',
    '-keystore',
    keystore,
    ...passwords,
    ...digests,
    '-signedjar',
    signed('aab'),
    ready('aab'),
    alias,
  ]
}

async function removeKey(run: BuildRun, containerId: string): Promise<void> {
  if (run.signal.aborted) return // The container is being killed, and its tmpfs with it.
  await runCommand(run, { ...signing, containerId, argv: ['sh', '-c', `rm -f ${secretsDir}/*`] })
}
