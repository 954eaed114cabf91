import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { noBroker } from '../../test/build-bench.js'
import { fakeEngine } from '../../test/fake-engine.js'
import { createApiClient } from '../api-client.js'
import type { BuildRun } from '../build-run.js'
import { LogPump } from '../log-pump.js'
import { SecretSet } from '../mask.js'
import { verify } from './verify.js'

const ours = 'a'.repeat(64)
const theirs = 'b'.repeat(64)
const certificate = (number: number, sha256: string) =>
  [
    `Signer #${number} certificate DN: CN=Pier`,
    `Signer #${number} certificate SHA-256 digest: ${sha256}`,
    `Signer #${number} certificate SHA-1 digest: ${'c'.repeat(40)}`,
  ].join('\n')

function runPrinting(signature: string, options: { exitCode?: number; badging?: string } = {}): BuildRun {
  const secrets = new SecretSet()
  const { exitCode = 0, badging = "package: name='com.example.pier' versionCode='3'\n" } = options
  const api = createApiClient({ baseUrl: 'http://127.0.0.1:9', workerToken: '' })
  const id = randomUUID()
  return {
    spec: {
      buildId: id,
      appId: id,
      orgId: id,
      number: 1,
      platform: 'android',
      type: 'release',
      variables: {},
      hasSecretVariables: false,
      source: { kind: 'archive', url: 'http://127.0.0.1:9', sha256: ours, sizeBytes: 1 },
      signing: null,
      limits: { memoryBytes: 1, cpus: 1, pids: 1, diskBytes: 1, wallClockMs: 1 },
    },
    attempt: 1,
    leaseToken: '',
    lease: api.withLease(''),
    engine: fakeEngine(([tool]) => (tool === 'aapt' ? { stdout: badging } : { stdout: signature, exitCode })),
    broker: noBroker,
    secretVariables: {},
    logs: new LogPump({ secrets, send: () => Promise.resolve(), onRefused: () => undefined }),
    secrets,
    labels: {},
    stackId: 'test',
    imageId: () => Promise.resolve('sha256:0'),
    signal: new AbortController().signal,
  }
}

const apk = { output: 'apk' as const, containerId: 'signer', path: '/work/signed.apk', certificateSha256: ours }

test('an APK signed by the credential’s certificate alone is accepted', async () => {
  expect(await verify(runPrinting(certificate(1, ours)), apk)).toMatchObject({ packageName: 'com.example.pier' })
})

test.each([
  ['another certificate', certificate(1, theirs)],
  ['a second signer', `${certificate(1, ours)}\n${certificate(2, theirs)}`],
  ['the same signer twice', `${certificate(1, ours)}\n${certificate(2, ours)}`],
  ['no signer', 'Verified'],
])('an APK with %s is refused', async (_, printed) => {
  await expect(verify(runPrinting(printed), apk)).rejects.toMatchObject({ code: 'apk-signature-mismatch' })
})

test('an APK whose signature does not verify is refused, whatever is printed', async () => {
  const run = runPrinting(certificate(1, ours), { exitCode: 1 })
  await expect(verify(run, apk)).rejects.toMatchObject({ code: 'apk-signature-invalid' })
})

test('an APK without a package name is refused', async () => {
  const run = runPrinting(certificate(1, ours), { badging: "package: name='../x'\n" })
  await expect(verify(run, apk)).rejects.toMatchObject({ code: 'apk-malformed' })
})
