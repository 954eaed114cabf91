import { createHash, createPublicKey } from 'node:crypto'
import {
  type ChannelStatement,
  type Envelope,
  channelStatementLifetimeMs,
  importPlatformSigner,
  platforms,
  signChannelStatement,
  type Signer,
} from '@capstan/sdk/release'
import { readReleaseClaims } from '../bundles/read-release-claims.js'
import type { Context } from '../context.js'
import type { Candidate } from './choose-deployment.js'

const signers = new Map<string, Promise<Signer>>()

/** The platform's word on what is current; null when the bundle has no release statement or no key is configured. */
export async function signStatementFor(
  ctx: Context,
  chosen: Candidate,
  asked: { channelName: string; platform: number },
): Promise<Envelope | null> {
  const { bundle, deployment } = chosen
  const platform = platforms[asked.platform]
  if (!ctx.channelStatementKey || !bundle.releaseEnvelope || !platform) return null
  const { release, sha256 } = await readReleaseClaims(bundle.releaseEnvelope)
  const now = ctx.now()
  const statement: ChannelStatement = {
    _type: 'capstan-channel/v1',
    appId: bundle.appId,
    channel: asked.channelName,
    platform,
    release: { sha256, sequence: release.sequence },
    rollout: { deploymentId: deployment.id, percentage: deployment.rolloutPercentage },
    issuedAt: now.toISOString(),
    expiresAt: new Date(now.getTime() + channelStatementLifetimeMs).toISOString(),
  }
  return signChannelStatement(statement, await signerOf(ctx.channelStatementKey))
}

/** Imported once for each key of this process. */
function signerOf(pem: string): Promise<Signer> {
  const known = signers.get(pem)
  if (known) return known
  const spki = createPublicKey(pem).export({ type: 'spki', format: 'der' })
  const signer = importPlatformSigner(pem, createHash('sha256').update(spki).digest('hex'))
  signers.set(pem, signer)
  return signer
}
