import type { KeystorePayload } from '@capstan/migrations/messages'
import { createHash } from 'node:crypto'
import { pack } from 'tar-stream'
import { BuildFailure } from '../build-failure.js'
import type { BuildRun, Sandbox } from '../build-run.js'
import { secretsDir, workDir } from '../container-profile.js'
import { copyFile } from '../copy-file.js'
import { captureCommand, runCommand } from '../run-command.js'

export type SignedApk = { containerId: string; path: string; certificateSha256: string }

const unsignedApk = `${workDir}/unsigned.apk`
const alignedApk = `${workDir}/aligned.apk`
const signedApk = `${workDir}/signed.apk`
const keystore = `${secretsDir}/keystore`
const storePassword = `${secretsDir}/store-password`
const keyPassword = `${secretsDir}/key-password`
const debugAlias = 'androiddebugkey'

/**
 * Signs in a container of its own that has no network and never runs the customer's code. The build container is gone
 * before the credential is opened.
 */
export async function sign(run: BuildRun, sandbox: Sandbox, apkPath: string): Promise<SignedApk> {
  const containerId = await startSigner(run)
  await copyFile(run, {
    ...signing,
    from: { containerId: sandbox.containerId, path: apkPath },
    to: { containerId, path: unsignedApk },
    capBytes: run.spec.limits.diskBytes,
  })
  await run.engine.removeContainer(sandbox.containerId)
  await runCommand(run, { ...signing, containerId, argv: ['zipalign', '-f', '-p', '4', unsignedApk, alignedApk] })
  try {
    const alias = await placeKey(run, containerId)
    const certificateSha256 = await certificateOf(run, containerId, alias)
    await runCommand(run, { ...signing, containerId, argv: apksignerCommand(alias) })
    run.logs.note('sign', `Signed with certificate SHA-256 ${certificateSha256}`)
    return { containerId, path: signedApk, certificateSha256 }
  } finally {
    await removeKey(run, containerId)
  }
}

const signing = { phase: 'sign', failureCode: 'signing-failed', subject: 'Signing the APK' } as const

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
  return ['apksigner', 'sign', '--ks', keystore, '--ks-key-alias', alias, ...passwords, '--out', signedApk, alignedApk]
}

async function removeKey(run: BuildRun, containerId: string): Promise<void> {
  if (run.signal.aborted) return // The container is being killed, and its tmpfs with it.
  await runCommand(run, { ...signing, containerId, argv: ['sh', '-c', `rm -f ${secretsDir}/*`] })
}
