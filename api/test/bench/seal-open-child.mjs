import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto'

import { openDirectoryKeyStore } from '../../dist/vault/directory-key-store.js'
import { openEnvelope, sealEnvelope } from '../../dist/vault/envelope.js'
import { hkdfSha512 } from '../../dist/vault/hkdf.js'
import { createLocalKeyManager } from '../../dist/vault/local-key-manager.js'
import { createOrganizationKeys } from '../../dist/vault/organization-keys.js'
import { Secret } from '../../dist/vault/secret.js'

// The compiled broker code in plain Node, as it runs: a test runner's own way to load modules would be measured too.
const [folder, rounds, perRound] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const PAYLOAD_BYTES = 4096
const plaintext = randomBytes(PAYLOAD_BYTES)
const root = createLocalKeyManager({ kekId: 'local:bench', keks: new Map([[1, new Secret(randomBytes(32))]]) })
const keys = createOrganizationKeys({ root, store: await openDirectoryKeyStore(folder) })
const org = randomUUID()
const contextOf = () => ({ org, app: randomUUID(), credential: randomUUID(), kind: 'android.keystore', version: '1' })
const ctx = contextOf()

async function sealAndOpen() {
  const { envelope } = await sealEnvelope(keys, ctx, new Secret(Buffer.from(plaintext)))
  const opened = await openEnvelope(keys, ctx, envelope)
  if (opened.use((bytes) => bytes.length) !== PAYLOAD_BYTES) throw new Error('the round trip is broken')
  opened[Symbol.dispose]()
}

const secret = randomBytes(32)

/** What any use of AES-256-GCM with a key derived by HKDF costs: derive, encrypt; derive, decrypt. */
async function rawSealAndOpen() {
  const [salt, nonce] = [randomBytes(32), randomBytes(12)]
  const derive = () => hkdfSha512(secret, salt, 'raw')[0]
  const cipher = createCipheriv('aes-256-gcm', derive(), nonce, { authTagLength: 16 })
  const sealed = Buffer.concat([cipher.update(plaintext), cipher.final()])
  const decipher = createDecipheriv('aes-256-gcm', derive(), nonce, { authTagLength: 16 })
  decipher.setAuthTag(cipher.getAuthTag())
  const opened = Buffer.concat([decipher.update(sealed), decipher.final()])
  if (opened.length !== PAYLOAD_BYTES) throw new Error('the raw round trip is broken')
}

async function perSecond(work) {
  const started = performance.now()
  for (let count = 0; count < perRound; count += 1) await work()
  return (perRound / (performance.now() - started)) * 1000
}

await perSecond(sealAndOpen)
await perSecond(rawSealAndOpen)
const measured = []
for (let round = 0; round < rounds; round += 1) {
  measured.push({ own: await perSecond(sealAndOpen), raw: await perSecond(rawSealAndOpen) })
}
const firstSealMs = []
for (let count = 0; count < 20; count += 1) {
  const started = performance.now()
  await sealEnvelope(keys, contextOf(), new Secret(Buffer.from(plaintext)))
  firstSealMs.push(performance.now() - started)
}
process.stdout.write(JSON.stringify({ rounds: measured, firstSealMs }))
