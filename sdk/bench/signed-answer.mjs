// What a server answers a device, signed with keys that live as long as the program.
import { generateKeyPairSync } from 'node:crypto'
import { sha256Hex, validateArchive } from '@capstan/sdk/archive'
import { importPlatformSigner, importReleaseSigner, signChannelStatement, signRelease } from '@capstan/sdk/release'

const pem = (pair) => ({
  publicKey: pair.publicKey.export({ type: 'spki', format: 'pem' }),
  privateKey: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }),
})
export const customer = pem(generateKeyPairSync('rsa', { modulusLength: 3072 }))
export const platform = pem(generateKeyPairSync('ed25519'))

/** A function that gives the answer which offers a zip as the release of a sequence. */
export async function signedAnswers(bytes) {
  const archive = { sha256: await sha256Hex(bytes), size: bytes.length }
  const files = await validateArchive(bytes)
  const releaseSigner = await importReleaseSigner(customer.privateKey, 'k')
  const platformSigner = await importPlatformSigner(platform.privateKey, 'p')
  return async (sequence) => {
    const time = (offset) => new Date(Date.now() + offset).toISOString()
    const bundleId = `bundle-${sequence}`
    const { envelope: release, releaseId } = await signRelease(
      {
        _type: 'capstan-release/v1',
        appId: 'bench',
        platforms: ['android', 'electron'],
        channels: ['production'],
        bundleId,
        sequence,
        createdAt: time(0),
        expiresAt: time(3_600_000),
        minNativeVersion: null,
        maxNativeVersion: null,
        rootVersion: 1,
        restores: null,
        provenance: null,
        archive,
        files,
      },
      releaseSigner,
    )
    const statementFor = (platformName) =>
      signChannelStatement(
        {
          _type: 'capstan-channel/v1',
          appId: 'bench',
          channel: 'production',
          platform: platformName,
          release: { sha256: releaseId, sequence },
          rollout: { deploymentId: 'd', percentage: 1 },
          issuedAt: time(0),
          expiresAt: time(3_600_000),
        },
        platformSigner,
      )
    return async (platformName) =>
      JSON.stringify({
        artifactType: 'zip',
        bundleId,
        url: 'https://cdn.example.com/b',
        release,
        channelStatement: await statementFor(platformName),
      })
  }
}
