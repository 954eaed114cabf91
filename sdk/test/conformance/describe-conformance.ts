import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fuzzAnswer } from './fuzz-answer.js'
import { attacks, refusedSettings } from './attacks.js'
import type { ClientSettings, ConformanceClient } from './contract.js'
import { pemOf, readVectors, vectorSets } from '../wycheproof.js'
import { rootRevoking } from '../update-fixture.js'
import { type HostileServer, startHostileServer } from './hostile-server.js'

interface Subject {
  platform: ClientSettings['platform']
  open(): Promise<ConformanceClient>
  /** Where a start is slow, the archive rules are tried in one profile only: they are the same code in both. */
  archivesInOneProfile?: boolean
  /** There only every so-manieth forged signature is tried; the good ones all are. Default 1. */
  everyVector?: number
}

const knownCodes =
  /^(?:SIGNATURE_MISSING|BAD_SIGNATURE|ENVELOPE_[A-Z]+|STATEMENT_MALFORMED|STALE|WRONG_[A-Z]+|NATIVE_INCOMPATIBLE|RELEASE_MISMATCH|ROOT_[A-Z]+|REVOKED|EXPIRED|DOWNGRADE|SEQUENCE_[A-Z]+|SIZE_MISMATCH|HASH_MISMATCH|ARCHIVE_[A-Z0-9_]+|NETWORK|SERVER_REFUSED|ANSWER_MALFORMED|INSECURE_URL)$/

/** Every attack on a client, each followed by an honest update that the same device must take. */
export function describeConformance(name: string, subject: Subject, fuzzed: number): void {
  const { everyVector = 1 } = subject
  describe.each(['release', 'compat'] as const)(`${name}, %s profile`, (profile) => {
    let server: HostileServer
    let client: ConformanceClient

    async function expectRunning(version: string): Promise<void> {
      expect(await client.current()).toMatchObject({ ok: true, page: version })
    }

    async function expectHonestTaken(): Promise<void> {
      const version = await server.offerHonest(profile)
      expect(await client.sync()).toMatchObject({ ok: true, status: 'staged' })
      await expectRunning(version)
    }

    beforeAll(async () => {
      server = await startHostileServer(subject.platform)
      client = await subject.open()
      expect(await client.init(server.settings(profile))).toEqual({ ok: true })
      await expectRunning('built-in')
      await expectHonestTaken()
      await expectHonestTaken()
    })
    afterAll(async () => {
      await client.close()
      await server.http.close()
    })

    test.each(
      attacks
        .filter((attack) => attack.profile === profile)
        .filter(({ id }) => !(subject.archivesInOneProfile && profile === 'compat' && id === 'D25-D28'))
        .map((attack) => [`${attack.id} ${attack.what}`, attack] as const),
    )('%s is refused, and an honest update is taken after it', async (_what, attack) => {
      const { code, variants = 1 } = attack
      const { version } = server.accepted
      for (let variant = 0; variant < variants; variant++) {
        await attack.arrange(server, variant)
        expect(await client.sync(), `variant ${variant}`).toEqual({ ok: false, code })
      }
      await expectRunning(version)
      await expectHonestTaken()
    })

    test(`${fuzzed} mutated answers: refused with a known code, or the signed content`, async () => {
      let refused = 0
      for (let seed = 1; seed <= fuzzed; seed++) {
        const { version: before } = server.accepted
        const version = await server.offerHonest(profile)
        const mutation = fuzzAnswer(server.http, seed)
        const answer = await client.sync()
        if (!answer.ok) {
          refused++
          expect(answer.code, `seed ${seed}: ${mutation}`).toMatch(knownCodes)
        } else expect(answer.status, `seed ${seed}: ${mutation}`).toMatch(/^(?:none|staged|up-to-date|not-in-rollout)$/)
        const staged = answer.ok && answer.status === 'staged'
        if (!staged) server.accepted = { ...server.accepted, version: before }
        if (staged || seed % 50 === 0) await expectRunning(staged ? version : before)
      }
      expect(refused).toBeGreaterThan(fuzzed / 3)
      await expectHonestTaken()
    })
  })

  test(`${name}, revocation: what a new root revokes is not started again, and the next release is`, async () => {
    const server = await startHostileServer(subject.platform)
    const client = await subject.open()
    const start = async () => {
      const answer = await client.current()
      if (!answer.ok) throw new Error(answer.code)
      return answer
    }
    await client.init(server.settings('release'))
    const version = await server.offerHonest('release')
    expect(await client.sync()).toMatchObject({ ok: true, status: 'staged' })
    const { bundleId, page } = await start()
    expect(page).toBe(version)
    const root = await rootRevoking([bundleId ?? ''])
    const { zip, sequence } = server.accepted
    await server.offerRelease(zip, { sequence, release: { bundleId: bundleId ?? '' }, answer: { roots: [root] } })
    expect(await client.sync()).toEqual({ ok: false, code: 'REVOKED' })
    expect(await start()).toMatchObject({ bundleId: null, page: 'built-in' })
    const later = await server.offerHonest('release')
    expect(await client.sync()).toMatchObject({ ok: true, status: 'staged' })
    expect((await start()).page).toBe(later)
    await client.close()
    await server.http.close()
  })

  describe(`${name}, D22 vectors of others`, () => {
    let server: HostileServer
    let client: ConformanceClient
    beforeAll(async () => {
      server = await startHostileServer(subject.platform)
      client = await subject.open()
    })
    afterAll(async () => {
      await client.close()
      await server.http.close()
    })

    test.each(vectorSets)('Wycheproof $name: no false accept, no false reject', async (set) => {
      const seen = { accepted: 0, refused: 0 }
      for (const group of readVectors(set.name).testGroups) {
        const publicKey = pemOf(Buffer.from(group.publicKeyDer, 'base64'), set.pss)
        const opened = await client.init(server.settings('compat', { publicKey }))
        // A key with a weak exponent is not pinned at all.
        if (!opened.ok) expect(opened.code).toBe('KEY_EXPONENT')
        if (!opened.ok) continue
        for (const [index, { tcId, result, msg, sig }] of group.tests.entries()) {
          if (result !== 'valid' && index % everyVector !== 0) continue
          server.offerCompat(Uint8Array.from(Buffer.from(msg, 'base64')), { signature: sig }, {})
          const answer = await client.sync()
          // What is signed is no archive: that is found out only behind a good signature.
          const expected = result === 'valid' ? /^ARCHIVE_/ : /^(?:BAD_SIGNATURE|SIGNATURE_MISSING)$/
          expect(answer.ok ? answer.status : answer.code, `case ${tcId}`).toMatch(expected)
          seen[result === 'valid' ? 'accepted' : 'refused']++
        }
      }
      expect(seen.accepted).toBeGreaterThanOrEqual(set.pss ? 14 : 6)
      expect(seen.refused).toBeGreaterThanOrEqual((set.pss ? 45 : 240) / everyVector / 2)
    })

    test('forgeries that need only a public key with exponent 3: the key is not pinned', async () => {
      const path = new URL('../../vectors/rsa-pkcs1v15-forgeries-e3.json', import.meta.url)
      const { vectors } = JSON.parse(readFileSync(path, 'utf8')) as { vectors: { publicKeyPem: string }[] }
      const keys = new Set(vectors.map(({ publicKeyPem }) => publicKeyPem))
      expect(keys.size).toBeGreaterThan(0)
      for (const publicKey of keys) {
        const answer = await client.init(server.settings('compat', { publicKey }))
        expect(answer).toEqual({ ok: false, code: 'KEY_EXPONENT' })
      }
    })
  })

  describe(`${name}, configuration`, () => {
    test.each(refusedSettings)('D23 %s stops the set-up; the right settings do not', async (_what, change, code) => {
      const server = await startHostileServer(subject.platform)
      const client = await subject.open()
      expect(await client.init(server.settings('release', change))).toEqual({ ok: false, code })
      expect(await client.init(server.settings('release'))).toEqual({ ok: true })
      await client.close()
      await server.http.close()
    })
  })
}
