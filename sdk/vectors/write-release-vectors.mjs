// Writes release vectors with fresh throw-away keys to the named file: `node write-release-vectors.mjs release-vectors.json`.
import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { deflateRawSync } from 'node:zlib'
import { validateArchive, writeArchive } from '@capstan/sdk/archive'
import * as release from '@capstan/sdk/release'

const pem = { publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } }
const rsa = (modulusLength) => generateKeyPairSync('rsa', { modulusLength, ...pem })
const [customer, stranger] = [rsa(2048), rsa(2048)]
const [platform, otherPlatform] = [generateKeyPairSync('ed25519', pem), generateKeyPairSync('ed25519', pem)]

const archive = writeArchive(
  [
    { path: 'index.html', content: Buffer.from('<!doctype html><title>Vector</title>') },
    { path: 'assets/app.js', content: Buffer.from('console.log("vector")\n') },
  ],
  deflateRawSync,
)
const files = await validateArchive(archive)
const { sha256Hex } = await import('@capstan/sdk/archive')
const appId = '01980000-0000-7000-8000-000000000001'
const statement = {
  _type: 'capstan-release/v1',
  appId,
  platforms: ['android', 'ios'],
  channels: ['production'],
  bundleId: 'vector-42',
  sequence: 42,
  createdAt: '2026-11-21T00:00:00Z',
  expiresAt: '2027-11-21T00:00:00Z',
  minNativeVersion: '1.4.0',
  maxNativeVersion: null,
  rootVersion: 1,
  restores: null,
  provenance: null,
  archive: { sha256: await sha256Hex(archive), size: archive.length },
  files,
}
const device = {
  appId,
  platform: 'android',
  channel: 'production',
  nativeVersion: '1.10',
  now: Date.parse('2026-11-21T12:00:00Z'),
  floor: { sequence: 41, releaseId: 'f'.repeat(64) },
}
const customerSigner = await release.importReleaseSigner(customer.privateKey, 'customer')
const strangerSigner = await release.importReleaseSigner(stranger.privateKey, 'stranger')
const platformSigner = await release.importPlatformSigner(platform.privateKey, 'platform')
const otherSigner = await release.importPlatformSigner(otherPlatform.privateKey, 'other')

async function vector(name, expect, change = {}) {
  const signed = await release.signRelease({ ...statement, ...change.release }, change.signer ?? customerSigner)
  const channelStatement = await release.signChannelStatement(
    {
      _type: 'capstan-channel/v1',
      appId,
      channel: 'production',
      platform: 'android',
      release: { sha256: signed.releaseId, sequence: change.release?.sequence ?? statement.sequence },
      rollout: { deploymentId: 'd1', percentage: 1 },
      issuedAt: '2026-11-21T11:00:00Z',
      expiresAt: '2026-11-22T11:00:00Z',
      ...change.channel,
    },
    change.platformSigner ?? platformSigner,
  )
  const envelopes = { release: signed.envelope, channelStatement }
  change.after?.(envelopes)
  const floor = change.sameFloor ? { sequence: 42, releaseId: signed.releaseId } : (change.device?.floor ?? device.floor)
  return { name, expect, device: { ...device, ...change.device, floor }, ...envelopes }
}

const swapType = (envelopes) => (envelopes.release.payloadType = release.payloadTypes.channel)
const vectors = [
  await vector('accepted', null),
  await vector('accepted again', null, { sameFloor: true }),
  await vector('signed by a stranger', 'BAD_SIGNATURE', { signer: strangerSigner }),
  await vector('statement by another platform', 'BAD_SIGNATURE', { platformSigner: otherSigner }),
  await vector('release not signed', 'SIGNATURE_MISSING', { after: (e) => (e.release.signatures = []) }),
  await vector('blank signature', 'SIGNATURE_MISSING', { after: (e) => (e.release.signatures[0].sig = ' ') }),
  await vector('signature "null"', 'SIGNATURE_MISSING', { after: (e) => (e.release.signatures[0].sig = 'null') }),
  await vector('no release', 'SIGNATURE_MISSING', { after: (e) => (e.release = null) }),
  await vector('no channel statement', 'SIGNATURE_MISSING', { after: (e) => (e.channelStatement = null) }),
  await vector('white space in the signature', 'BAD_SIGNATURE', { after: (e) => (e.release.signatures[0].sig += '\n') }),
  await vector('payload of another type', 'ENVELOPE_TYPE', { after: swapType }),
  await vector('payload not strict base64', 'ENVELOPE_MALFORMED', { after: (e) => (e.release.payload += '=') }),
  await vector('stale', 'STALE', { device: { now: Date.parse('2026-11-22T11:00:00Z') } }),
  await vector('a second before it is stale', null, { device: { now: Date.parse('2026-11-22T10:59:59Z') } }),
  await vector('from the future', 'STALE', { device: { now: Date.parse('2026-11-21T10:54:59Z') } }),
  await vector('release for another app', 'WRONG_APP', { release: { appId: 'other' } }),
  await vector('channel statement for another app', 'WRONG_APP', { channel: { appId: 'other' } }),
  await vector('release for another platform', 'WRONG_PLATFORM', { release: { platforms: ['ios'] } }),
  await vector('channel statement for another platform', 'WRONG_PLATFORM', { channel: { platform: 'ios' } }),
  await vector('release for another channel', 'WRONG_CHANNEL', { release: { channels: ['beta'] } }),
  await vector('channel statement for another channel', 'WRONG_CHANNEL', { channel: { channel: 'beta' } }),
  await vector('native too old', 'NATIVE_INCOMPATIBLE', { device: { nativeVersion: '1.3.99' } }),
  await vector('native too new', 'NATIVE_INCOMPATIBLE', { release: { maxNativeVersion: '1.9' } }),
  await vector('native not comparable', 'NATIVE_INCOMPATIBLE', { device: { nativeVersion: 'v2' } }),
  await vector('native at both bounds', null, { release: { minNativeVersion: '1.10.0', maxNativeVersion: '1.10' } }),
  await vector('another release is current', 'RELEASE_MISMATCH', { channel: { release: { sha256: 'a'.repeat(64), sequence: 42 } } }),
  await vector('newer root needed', 'ROOT_UNKNOWN', { release: { rootVersion: 2 } }),
  await vector('revoked', 'REVOKED', { release: { bundleId: 'revoked-1' } }),
  await vector('expired', 'EXPIRED', { release: { expiresAt: '2026-11-21T12:00:00Z' } }),
  await vector('downgrade', 'DOWNGRADE', { device: { floor: { sequence: 43, releaseId: 'f'.repeat(64) } } }),
  await vector('same number, other release', 'SEQUENCE_CONFLICT', { device: { floor: { sequence: 42, releaseId: 'f'.repeat(64) } } }),
  await vector('at the compiled-in floor', null, { device: { floor: { sequence: 42, releaseId: null } } }),
  await vector('too far ahead', 'SEQUENCE_JUMP', { release: { sequence: 1_000_042 } }),
  await vector('as far ahead as allowed', null, { release: { sequence: 1_000_041 } }),
]

const text = {
  note: 'Throw-away keys. Trust: both keys, rootVersion 1, revokedBundleIds ["revoked-1"]. expect: code of the refusal, null when accepted.',
  releaseKey: customer.publicKey,
  platformKey: platform.publicKey,
  archive: Buffer.from(archive).toString('base64'),
  vectors,
}
writeFileSync(process.argv[2], `${JSON.stringify(text, null, 1)}\n`)
