import { BuildFailure } from '../build-failure.js'
import type { BuildRun } from '../build-run.js'
import { captureCommand } from '../run-command.js'
import type { SignedApk } from './sign.js'

/** Proves that the APK carries one valid signature by the credential's certificate; returns its package name. */
export async function verify(run: BuildRun, apk: SignedApk): Promise<string> {
  const command = { phase: 'verify', containerId: apk.containerId, subject: 'Verifying the APK' } as const
  const signature = await captureCommand(run, {
    ...command,
    argv: ['apksigner', 'verify', '--print-certs', apk.path],
    failureCode: 'apk-signature-invalid',
  })
  const signers = certificatesIn(signature.toString('utf8'))
  if (signers.length !== 1 || signers[0] !== apk.certificateSha256) {
    throw new BuildFailure(
      'apk-signature-mismatch',
      'The signed APK does not carry exactly the certificate of the credential. It was not kept.',
    )
  }
  const badging = await captureCommand(
    run,
    { ...command, argv: ['aapt', 'dump', 'badging', apk.path], failureCode: 'apk-malformed' },
    4 * 1024 * 1024,
  )
  const packageName = /^package: name='([A-Za-z0-9_.]{1,255})'/m.exec(badging.toString('utf8'))?.[1]
  if (packageName === undefined) throw new BuildFailure('apk-malformed', 'The APK names no package.')
  run.logs.note('verify', `One signer, certificate SHA-256 ${apk.certificateSha256}, package ${packageName}`)
  return packageName
}

function certificatesIn(printed: string): string[] {
  return [
    ...printed.matchAll(/^(?:Signer #\d+|V\S+ Signer:?.*?) certificate SHA-256 digest: ([0-9a-f]{64})$/gm),
  ].flatMap(([, digest]) => digest ?? [])
}
