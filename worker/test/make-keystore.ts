import { createHash, randomUUID } from 'node:crypto'
import type { KeystorePayload } from '@capstan/migrations/messages'
import { createDockerEngine } from '../src/docker-engine.js'
import { builderImage, dockerHost } from './build-bench.js'

export type TestKeystore = { payload: KeystorePayload; certificateSha256: string }

/** A PKCS#12 keystore made by the keytool of the builder image. */
export async function makeKeystore(password: string, alias: string): Promise<TestKeystore> {
  const engine = createDockerEngine(dockerHost)
  const containerId = await engine.startContainer({
    kind: 'signer',
    name: `capstan-keystore-${randomUUID()}`,
    imageId: (await engine.resolveImage(builderImage())).id,
    labels: { capstan: 'test-keystore' },
    limits: { memoryBytes: 512 << 20, cpus: 2, pids: 256, diskBytes: 32 << 20 },
  })
  const run = async (script: string) => {
    const chunks: Buffer[] = []
    const onOutput = (source: string, chunk: Buffer) => void (source === 'stdout' && chunks.push(Buffer.from(chunk)))
    const argv = ['sh', '-c', script, 'sh', alias]
    const exitCode = await engine.exec(containerId, { argv, onOutput }, AbortSignal.timeout(120_000))
    if (exitCode !== 0) throw new Error(Buffer.concat(chunks).toString('utf8'))
    return Buffer.concat(chunks)
  }
  try {
    const stdin = Buffer.from(password, 'utf8')
    const place = ['sh', '-c', 'cat > /secrets/password']
    await engine.exec(containerId, { argv: place, stdin, onOutput: () => undefined }, AbortSignal.timeout(120_000))
    const shared = '-keystore /secrets/ks -storepass:file /secrets/password -alias "$1"'
    await run(`keytool -genkeypair -noprompt -storetype PKCS12 ${shared} -keyalg RSA -keysize 2048 -dname CN=Pier`)
    const certificate = await run(`keytool -exportcert ${shared}`)
    const file = await run('cat /secrets/ks')
    return {
      payload: {
        fileB64: file.toString('base64'),
        filename: 'pier.p12',
        password,
        keyAlias: alias,
        keyPassword: password,
      },
      certificateSha256: createHash('sha256').update(certificate).digest('hex'),
    }
  } finally {
    await engine.removeContainer(containerId)
  }
}
