import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { importReleaseSigner, signRoot } from '../src/release/index.js'
import {
  appId,
  bundle,
  customer,
  platformKeys,
  releaseOf,
  rootRevoking,
  rsaPair,
  shown,
  signBytes,
  stranger,
} from './update-fixture.js'
import { useLab } from './update-lab.js'

const lab = useLab()
const { open, publishRelease, expectRefused } = lab
const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex')

describe('release profile', () => {
  test('a release with both statements is staged, launched and confirmed', async () => {
    await publishRelease('one', 10)
    const updates = await open()
    expect(await updates.check()).toEqual({ status: 'available', bundleId: 'bundle-10' })
    expect(await updates.sync()).toEqual({ status: 'staged', bundleId: 'bundle-10' })
    expect(await updates.check()).toEqual({ status: 'staged', bundleId: 'bundle-10' })
    const launch = await updates.launch()
    expect(shown(launch.directory)).toBe('one')
    await updates.ready(launch.nonce)
    expect(await updates.sync()).toEqual({ status: 'up-to-date', bundleId: 'bundle-10' })
  })

  const later = new Date(Date.now() + 3_600_000).toISOString()
  const earlier = new Date(Date.now() - 3_600_000).toISOString()
  test.each([
    ['an older sequence', 9, {}, 'DOWNGRADE'],
    ['the same sequence with other content', 10, {}, 'SEQUENCE_CONFLICT'],
    ['a sequence too far ahead', 2_000_000, {}, 'SEQUENCE_JUMP'],
    ["another app's release", 11, { release: { appId: 'other' } }, 'WRONG_APP'],
    ['a channel that is not listed', 11, { release: { channels: ['beta'] } }, 'WRONG_CHANNEL'],
    ['a release for another platform', 11, { release: { platforms: ['ios' as const] } }, 'WRONG_PLATFORM'],
    ['a native version too low', 11, { release: { minNativeVersion: '1.2.4' } }, 'NATIVE_INCOMPATIBLE'],
    ['a native version too high', 11, { release: { maxNativeVersion: '1.2' } }, 'NATIVE_INCOMPATIBLE'],
    ['an expired release', 11, { release: { expiresAt: earlier } }, 'EXPIRED'],
    [
      'a stale channel statement',
      11,
      { channel: { issuedAt: new Date(Date.now() - 7_200_000).toISOString(), expiresAt: earlier } },
      'STALE',
    ],
    [
      'a channel statement from the future',
      11,
      { channel: { issuedAt: later, expiresAt: new Date(Date.now() + 7_200_000).toISOString() } },
      'STALE',
    ],
    [
      'a channel statement that names another release',
      11,
      { channel: { release: { sha256: 'b'.repeat(64), sequence: 11 } } },
      'RELEASE_MISMATCH',
    ],
    ["a stranger's release", 11, { customer: stranger }, 'BAD_SIGNATURE'],
    ['an archive of another size', 11, { release: { archive: { sha256: 'c'.repeat(64), size: 5 } } }, 'SIZE_MISMATCH'],
    [
      'an archive of another hash',
      11,
      { release: { archive: { sha256: 'c'.repeat(64), size: bundle('two').length } } },
      'HASH_MISMATCH',
    ],
    [
      'a file list that lacks a file',
      11,
      { release: { files: [{ path: 'index.html', sha256: digestOf('<p>two</p>'), size: 10 }] } },
      'FILES_DIFFER',
    ],
    [
      'a file list with another hash',
      11,
      { release: { files: [{ path: 'index.html', sha256: 'd'.repeat(64), size: 10 }] } },
      'FILE_MISMATCH',
    ],
  ])('%s is refused', async (_what, sequence, change, code) => {
    await publishRelease('one', 10)
    const updates = await open()
    await updates.sync()
    await updates.ready((await updates.launch()).nonce)
    await publishRelease('two', sequence, change)
    await expectRefused(updates, code, 'one')
    await publishRelease('two', 12)
    expect((await updates.sync()).status).toBe('staged')
  })

  test('statements that are missing are refused, whatever else is signed', async () => {
    const zip = bundle('one')
    const { release, channelStatement } = await releaseOf(zip, 1)
    const updates = await open()
    for (const answer of [
      {},
      { release },
      { channelStatement },
      { release: 'null', channelStatement },
      { release: { ...release, signatures: [] }, channelStatement },
    ]) {
      lab.server.publish('one', zip, answer, { 'x-signature': signBytes(zip) })
      await expect(updates.sync()).rejects.toMatchObject({
        code: expect.stringMatching(/^(SIGNATURE_MISSING|ENVELOPE_MALFORMED)$/),
      })
    }
    lab.server.publish('one', zip, { release, channelStatement })
    expect((await updates.sync()).status).toBe('staged')
  })

  test('a compiled-in floor holds on a fresh device', async () => {
    await publishRelease('one', 10)
    await expectRefused(await open({ minimumSequence: 11 }), 'DOWNGRADE', 'built-in')
    expect((await (await open({ minimumSequence: 10 })).sync()).status).toBe('staged')
  })

  test('a device outside the rollout installs nothing', async () => {
    await publishRelease('one', 10, { channel: { rollout: { deploymentId: 'd', percentage: 0 } } })
    expect(await (await open()).sync()).toEqual({ status: 'not-in-rollout', bundleId: 'bundle-10' })
    expect(lab.server.requests).toHaveLength(1)
  })

  test('a failed release never lowers the floor', async () => {
    await publishRelease('one', 10)
    const updates = await open()
    await updates.sync()
    await updates.launch()
    expect(shown((await updates.launch()).directory)).toBe('built-in')
    await expect(updates.sync()).rejects.toMatchObject({ code: 'BLOCKED' })
    await publishRelease('zero', 9)
    await expect(updates.sync()).rejects.toMatchObject({ code: 'DOWNGRADE' })
    await updates.reset()
    await expect(updates.sync()).rejects.toMatchObject({ code: 'DOWNGRADE' })
    await publishRelease('one', 11)
    expect((await updates.sync()).status).toBe('staged')
  })

  test('a bundle that is revoked while it is on trial, or was good, is not started again', async () => {
    const updates = await open()
    const runs = async () => shown((await updates.launch()).directory)
    await publishRelease('one', 10)
    await updates.sync()
    await updates.ready((await updates.launch()).nonce)
    await publishRelease('two', 11)
    await updates.sync()
    const trial = await updates.launch()
    // The page syncs before it says that it works.
    const { release, channelStatement } = await releaseOf(bundle('two'), 11)
    const answer = { release, channelStatement, roots: [await rootRevoking(['bundle-11'])] }
    lab.server.publish('bundle-11', bundle('two'), answer)
    await expect(updates.sync()).rejects.toMatchObject({ code: 'REVOKED' })
    expect(shown((await updates.current()).directory)).toBe('two')
    await updates.ready(trial.nonce)
    expect(await runs()).toBe('one')
    const next = await rootRevoking(['bundle-10', 'bundle-11'], 3)
    lab.server.publish('bundle-11', bundle('two'), { release, channelStatement, roots: [next] })
    await expect(updates.sync()).rejects.toMatchObject({ code: 'REVOKED' })
    expect(shown((await updates.current()).directory)).toBe('one')
    expect(await runs()).toBe('built-in')
    await publishRelease('three', 12)
    expect((await updates.sync()).status).toBe('staged')
    expect(await runs()).toBe('three')
  })

  test('keys are rotated over the air, and revoked bundles and old keys stay out', async () => {
    const next = rsaPair()
    const [oldSigner, newSigner] = await Promise.all(
      [customer, next].map((pair) => importReleaseSigner(pair.privateKey, 'k')),
    )
    const root = await signRoot(
      {
        _type: 'capstan-root/v1',
        appId,
        version: 2,
        createdAt: new Date().toISOString(),
        releaseKeys: [next.publicKey],
        platformKeys: [platformKeys.publicKey],
        revokedBundleIds: ['bundle-12'],
      },
      [oldSigner!, newSigner!],
    )
    const zip = bundle('new-key')
    const publish = async (sequence: number, pair: typeof customer, roots: unknown[]): Promise<void> => {
      const { release, channelStatement } = await releaseOf(zip, sequence, {
        customer: pair,
        release: { rootVersion: roots.length + 1 },
      })
      lab.server.publish(`bundle-${sequence}`, zip, { release, channelStatement, roots })
    }
    const updates = await open()
    await publish(10, next, [])
    await expect(updates.sync()).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
    await publish(10, next, [root])
    expect((await updates.sync()).status).toBe('staged')
    await publish(11, customer, [root])
    await expect((await open()).sync()).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
    await publish(12, next, [])
    await expect((await open()).sync()).rejects.toMatchObject({ code: 'REVOKED' })
    await publish(13, next, [])
    expect((await (await open()).sync()).status).toBe('staged')
  })

  test('an app that comes with other keys starts from those, and what was revoked stays out', async () => {
    const roots = [await rootRevoking(['bundle-11'])]
    const publish = async (sequence: number, pair: typeof customer): Promise<void> => {
      const zip = bundle(`from-${sequence}`)
      const { release, channelStatement } = await releaseOf(zip, sequence, { customer: pair })
      lab.server.publish(`bundle-${sequence}`, zip, { release, channelStatement, roots })
    }
    await publish(10, customer)
    expect((await (await open()).sync()).status).toBe('staged')
    const other = rsaPair()
    const updates = await open({ publicKey: other.publicKey })
    await publish(12, customer)
    await expect(updates.sync()).rejects.toMatchObject({ code: 'BAD_SIGNATURE' })
    await publish(11, other)
    await expect(updates.sync()).rejects.toMatchObject({ code: 'REVOKED' })
    await publish(12, other)
    expect((await updates.sync()).status).toBe('staged')
    expect(shown((await updates.launch()).directory)).toBe('from-12')
  })

  test('what was revoked stays out when the app comes with the root that revoked it, until a newer one', async () => {
    const publish = async (sequence: number, roots: unknown[]): Promise<void> => {
      const zip = bundle(`from-${sequence}`)
      const { release, channelStatement } = await releaseOf(zip, sequence, { release: { rootVersion: 2 } })
      lab.server.publish(`bundle-${sequence}`, zip, { release, channelStatement, roots })
    }
    await publish(10, [await rootRevoking(['bundle-11'])])
    expect((await (await open()).sync()).status).toBe('staged')
    const updates = await open({ rootVersion: 2 })
    await publish(11, [])
    await expect(updates.sync()).rejects.toMatchObject({ code: 'REVOKED' })
    await publish(11, [await rootRevoking([], 3)])
    expect((await updates.sync()).status).toBe('staged')
  })
})
