import { BuildFailure } from '../build-failure.js'
import type { BuildRun } from '../build-run.js'
import { captureCommand, exitCodeOf } from '../run-command.js'
import type { SignedFile } from './sign.js'

export type VerifiedFile = SignedFile & { packageName?: string }

/** Proves that the file carries one valid signature by the credential's certificate. */
export async function verify(run: BuildRun, file: SignedFile): Promise<VerifiedFile> {
  return file.output === 'apk' ? verifyApk(run, file) : verifyAab(run, file)
}

async function verifyApk(run: BuildRun, apk: SignedFile): Promise<VerifiedFile> {
  const command = { phase: 'verify', containerId: apk.containerId, subject: 'Verifying the APK' } as const
  const signature = await captureCommand(run, {
    ...command,
    argv: ['apksigner', 'verify', '--print-certs', apk.path],
    failureCode: 'apk-signature-invalid',
  })
  const signers = certificatesIn(signature.toString('utf8'))
  if (signers.length !== 1 || signers[0] !== apk.certificateSha256) throw mismatch('apk')
  const badging = await captureCommand(
    run,
    { ...command, argv: ['aapt', 'dump', 'badging', apk.path], failureCode: 'apk-malformed' },
    4 * 1024 * 1024,
  )
  const packageName = /^package: name='([A-Za-z0-9_.]{1,255})'/m.exec(badging.toString('utf8'))?.[1]
  if (packageName === undefined) throw new BuildFailure('apk-malformed', 'The APK names no package.')
  run.logs.note('verify', `One signer, certificate SHA-256 ${apk.certificateSha256}, package ${packageName}`)
  return { ...apk, packageName }
}

// Bits of jarsigner's exit code that say no more than that the certificate is the developer's own, as all of Android are.
const ownCertificate = 4
const certificateDates = 2

async function verifyAab(run: BuildRun, aab: SignedFile): Promise<VerifiedFile> {
  const command = {
    phase: 'verify',
    containerId: aab.containerId,
    subject: 'Verifying the app bundle',
    failureCode: 'aab-signature-invalid',
  } as const
  let printed = ''
  const exitCode = await exitCodeOf(run, {
    ...command,
    argv: ['jarsigner', '-verify', '-strict', aab.path],
    onStdout: (chunk) => {
      if (printed.length < 65_536) printed += chunk.toString('utf8')
    },
  })
  const isVerified = /^jar verified/m.test(printed) && (exitCode & ~(ownCertificate | certificateDates)) === 0
  if (!isVerified) {
    throw new BuildFailure('aab-signature-invalid', 'The signature of the app bundle does not hold. It was not kept.')
  }
  const argv = ['keytool', '-printcert', '-jarfile', aab.path]
  const certificates = (await captureCommand(run, { ...command, argv })).toString('utf8')
  const signers = certificates.match(/^Signer #\d+:/gm) ?? []
  const first = /SHA256: ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})/.exec(certificates)?.[1]
  const isOurs = first?.replaceAll(':', '').toLowerCase() === aab.certificateSha256
  if (signers.length !== 1 || !isOurs) throw mismatch('aab')
  run.logs.note('verify', `App bundle with one signer, certificate SHA-256 ${aab.certificateSha256}`)
  return aab
}

const mismatch = (output: 'apk' | 'aab') =>
  new BuildFailure(
    `${output}-signature-mismatch`,
    `The signed ${output.toUpperCase()} does not carry exactly the certificate of the credential. It was not kept.`,
  )

function certificatesIn(printed: string): string[] {
  return [
    ...printed.matchAll(/^(?:Signer #\d+|V\S+ Signer:?.*?) certificate SHA-256 digest: ([0-9a-f]{64})$/gm),
  ].flatMap(([, digest]) => digest ?? [])
}
