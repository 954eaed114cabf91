import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

import { expect, test } from 'vitest'

import { openEnvelope, sealEnvelope } from '../../src/vault/envelope.js'
import { hkdfSha512 } from '../../src/vault/hkdf.js'
import { Secret } from '../../src/vault/secret.js'
import { contextOf, openKeyLab, sealText } from '../vault/key-lab.js'
import { median, report, rounded } from './report.js'

const PAYLOAD_BYTES = 4096
const ROUNDS = 7
const PER_ROUND = 2000
const plaintext = randomBytes(PAYLOAD_BYTES)

/** What any use of AES-256-GCM with a key derived by HKDF costs: derive, encrypt; derive, decrypt. */
function rawSealAndOpen(secret: Buffer): void {
  const [salt, nonce] = [randomBytes(32), randomBytes(12)]
  const derive = () => hkdfSha512(secret, salt, 'raw')[0]
  const cipher = createCipheriv('aes-256-gcm', derive(), nonce, { authTagLength: 16 })
  const sealed = Buffer.concat([cipher.update(plaintext), cipher.final()])
  const decipher = createDecipheriv('aes-256-gcm', derive(), nonce, { authTagLength: 16 })
  decipher.setAuthTag(cipher.getAuthTag())
  const opened = Buffer.concat([decipher.update(sealed), decipher.final()])
  if (opened.length !== PAYLOAD_BYTES) throw new Error('the raw round trip is broken')
}

async function perSecond(work: () => void | Promise<void>): Promise<number> {
  const started = performance.now()
  for (let count = 0; count < PER_ROUND; count += 1) await work()
  return (PER_ROUND / (performance.now() - started)) * 1000
}

test('seal and open 4 KB, against raw AES-256-GCM with HKDF', async () => {
  await using lab = await openKeyLab()
  const ctx = contextOf()
  await sealText(lab.keys, ctx)
  const own = async () => {
    const { envelope } = await sealEnvelope(lab.keys, ctx, new Secret(Buffer.from(plaintext)))
    using opened = await openEnvelope(lab.keys, ctx, envelope)
    if (opened.use((bytes) => bytes.length) !== PAYLOAD_BYTES) throw new Error('the round trip is broken')
  }
  const secret = randomBytes(32)
  const raw = () => rawSealAndOpen(secret)
  await perSecond(own)
  await perSecond(raw)
  const rounds: { own: number; raw: number }[] = []
  for (let round = 0; round < ROUNDS; round += 1) rounds.push({ own: await perSecond(own), raw: await perSecond(raw) })
  const firsts: number[] = []
  for (let count = 0; count < 20; count += 1) {
    const started = performance.now()
    await sealText(lab.keys, contextOf({ org: ctx.org }))
    firsts.push(performance.now() - started)
  }
  report({
    name: 'seal-open-4k',
    perSecond: rounded(median(rounds.map((round) => round.own))),
    rawPerSecond: rounded(median(rounds.map((round) => round.raw))),
    ratio: rounded(median(rounds.map((round) => round.own / round.raw)), 3),
    goal: 0.5,
    // The first seal of a version also writes its entry to the key store, synced.
    firstSealMs: rounded(median(firsts), 2),
  })
  expect(rounds).toHaveLength(ROUNDS)
})
