import type { KeystorePayload } from '@capstan/migrations/messages'
import { randomUUID } from 'node:crypto'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { createBrokerClient } from '../src/broker-client.js'
import { secretForms } from '../src/secret-forms.js'
import { androidProject } from './android-project.js'
import type { BrokerServer } from './broker-server.js'
import { startBroker } from './broker-server.js'
import type { Bench } from './build-bench.js'
import { openBench } from './build-bench.js'
import type { TestKeystore } from './make-keystore.js'
import { makeKeystore } from './make-keystore.js'
import { leaseToken } from './protocol-server.js'
import { watchContainers } from './watch-containers.js'

const password = `p@ss "q"/=${randomUUID()}`
const signing = { credentialId: randomUUID(), credentialVersion: 3, name: 'upload key' }

let keystore: TestKeystore
let bench: Bench
let broker: BrokerServer

beforeAll(async () => {
  keystore = await makeKeystore(password, 'pier')
})

afterEach(async () => {
  expect(bench.api.violations).toEqual([])
  expect(await bench.world.engine.removeLabelled({ capstan: bench.world.identity.stackId })).toBe(0)
  await bench[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
})

async function releaseBuild(
  answer: () => KeystorePayload | undefined | Promise<KeystorePayload | undefined>,
): Promise<void> {
  broker = await startBroker(answer)
  bench = await openBench({ broker: createBrokerClient(broker.socketPath) })
  bench.api.spec = { type: 'release', signing }
  bench.api.source = androidProject()
}

test('a release is signed with the credential, which shows nowhere', async () => {
  const containersAtOpening: string[] = []
  await releaseBuild(async () => {
    const { default: Docker } = await import('dockerode')
    const filters = { label: [`capstan=${bench.world.identity.stackId}`] }
    const containers = await new Docker().listContainers({ all: true, filters })
    containersAtOpening.push(...containers.flatMap(({ Names }) => Names))
    return keystore.payload
  })
  const containers = watchContainers(bench)
  await bench.run()
  expect(bench.api.finishes).toEqual([{ status: 'succeeded', retryable: false }])
  expect(bench.api.log).toContain(`One signer, certificate SHA-256 ${keystore.certificateSha256}`)
  const { credentialId, credentialVersion } = signing
  expect(broker.requests).toEqual([
    { authorization: `Bearer ${leaseToken}`, body: { credentialId, credentialVersion, attempt: 1, step: 'sign' } },
  ])
  // The container that ran the customer's code is gone before the credential is opened.
  expect(containersAtOpening).toEqual([`/capstan-${bench.buildId}-1-signer`])
  const described = await containers()
  expect(described).toContain('apksigner')
  const everything = `${described}\n${bench.api.log}\n${JSON.stringify(bench.api.phases)}`
  const file = Buffer.from(keystore.payload.fileB64, 'base64')
  const forms = [...secretForms(password), Buffer.from(keystore.payload.fileB64), Buffer.from(file.toString('hex'))]
  for (const form of forms) expect(everything).not.toContain(form.toString('utf8'))
})

test('a signing tool that prints a password prints stars', async () => {
  await releaseBuild(() => ({ ...keystore.payload, keyAlias: `no-such-alias-${password}` }))
  await bench.run()
  expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'keystore-alias-not-found' }])
  expect(bench.api.log).toContain('no-such-alias-***')
})

test('a wrong keystore password ends the build with that reason', async () => {
  await releaseBuild(() => ({ ...keystore.payload, password: 'wrong-password' }))
  await bench.run()
  expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'keystore-password-wrong', retryable: false }])
  expect(bench.api.artifacts).toEqual([])
})

test('a credential that the broker refuses ends the build', async () => {
  await releaseBuild(() => undefined)
  await bench.run()
  expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'credential-refused', retryable: false }])
  expect(bench.api.artifacts).toEqual([])
})

test('a broker that is away makes the build run again', async () => {
  await releaseBuild(() => undefined)
  await broker[Symbol.asyncDispose]()
  broker = await startBroker(() => undefined)
  await bench.run()
  expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'broker-unavailable', retryable: true }])
})
