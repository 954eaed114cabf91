import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fuzzAnswer } from './fuzz-answer.js'
import { attacks, refusedSettings } from './attacks.js'
import type { ClientSettings, ConformanceClient } from './contract.js'
import { type HostileServer, startHostileServer } from './hostile-server.js'

interface Subject {
  platform: ClientSettings['platform']
  open(): Promise<ConformanceClient>
  /** Where a start is slow, the archive rules are tried in one profile only: they are the same code in both. */
  archivesInOneProfile?: boolean
}

const knownCodes =
  /^(?:SIGNATURE_MISSING|BAD_SIGNATURE|ENVELOPE_[A-Z]+|STATEMENT_MALFORMED|STALE|WRONG_[A-Z]+|NATIVE_INCOMPATIBLE|RELEASE_MISMATCH|ROOT_[A-Z]+|REVOKED|EXPIRED|DOWNGRADE|SEQUENCE_[A-Z]+|SIZE_MISMATCH|HASH_MISMATCH|ARCHIVE_[A-Z0-9_]+|NETWORK|SERVER_REFUSED|ANSWER_MALFORMED|INSECURE_URL)$/

/** Every attack on a client, each followed by an honest update that the same device must take. */
export function describeConformance(name: string, subject: Subject, fuzzed: number): void {
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
    )('%s is refused, and an honest update is taken after it', { timeout: 60_000 }, async (_what, attack) => {
      const { code, variants = 1 } = attack
      const { version } = server.accepted
      for (let variant = 0; variant < variants; variant++) {
        await attack.arrange(server, variant)
        expect(await client.sync(), `variant ${variant}`).toEqual({ ok: false, code })
      }
      await expectRunning(version)
      await expectHonestTaken()
    })

    test(
      `${fuzzed} mutated answers: refused with a known code, or the signed content`,
      { timeout: 300_000 },
      async () => {
        let refused = 0
        for (let seed = 1; seed <= fuzzed; seed++) {
          const { version: before } = server.accepted
          const version = await server.offerHonest(profile)
          const mutation = fuzzAnswer(server.http, seed)
          const answer = await client.sync()
          if (!answer.ok) {
            refused++
            expect(answer.code, `seed ${seed}: ${mutation}`).toMatch(knownCodes)
          } else
            expect(answer.status, `seed ${seed}: ${mutation}`).toMatch(/^(?:none|staged|up-to-date|not-in-rollout)$/)
          const staged = answer.ok && answer.status === 'staged'
          if (!staged) server.accepted = { ...server.accepted, version: before }
          if (staged || seed % 50 === 0) await expectRunning(staged ? version : before)
        }
        expect(refused).toBeGreaterThan(fuzzed / 3)
        await expectHonestTaken()
      },
    )
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
