import { createHash } from 'node:crypto'
import { type ChannelStatement, channelStatementLifetimeMs, type Envelope, platforms } from '@capstan/sdk/release'
import type { Offer, PublishedApp, PublishedBundle, PublishedChannel } from './published-app.js'
import { openStatementKey, signStatement } from './sign-channel-statement.js'

/** The JSON of an answer, in pieces to be sent one after the other. */
export type AnswerBody = readonly Buffer[]

type ChosenOffer = {
  app: PublishedApp
  channel: PublishedChannel
  offer: Offer
  platform: number
  /** The bundle that the device runs. */
  runs: string | null
}

export type AnswerMaker = (chosen: ChosenOffer, now: number) => AnswerBody

const SIGN_AGAIN_AFTER_MS = channelStatementLifetimeMs / 2
const USABLE_MS = channelStatementLifetimeMs - 60 * 60_000

/**
 * Makes the bytes of an answer once, then gives them again until the app changes. A statement in the second half of its
 * life is signed anew after the answer that noticed it, not before.
 */
export function createAnswerMaker(options: { publicUrl: string; channelStatementKey: string | null }): AnswerMaker {
  const key = options.channelStatementKey === null ? null : openStatementKey(options.channelStatementKey)

  const make = (chosen: ChosenOffer, now: number): AnswerBody => {
    const head = JSON.stringify(describeOffer(chosen, options.publicUrl))
    const { release } = chosen.offer.bundle
    if (!release) return [Buffer.from(head)]
    const statement = key ? stateOffer(chosen, release, now) : null
    const tail = key && statement ? `,"channelStatement":${JSON.stringify(signStatement(statement, key))}}` : '}'
    return [Buffer.from(`${head.slice(0, -1)},"release":`), release.json, Buffer.from(tail)]
  }

  return (chosen, now) => {
    const { made, bundle } = chosen.offer
    const source =
      chosen.runs !== null && (bundle.bySource.has(chosen.runs) || bundle.patches.has(chosen.runs)) ? chosen.runs : ''
    const name = bundle.release ? `${chosen.platform}${source}` : source
    const before = made.get(name)
    const age = before ? now - before.at : Number.NaN
    if (before && (!bundle.release || key === null || (age >= 0 && age < SIGN_AGAIN_AFTER_MS))) return before.body
    const renew = () => {
      const body = make(chosen, now)
      made.set(name, { body, at: now })
      return body
    }
    if (!before || !(age >= 0 && age < USABLE_MS)) return renew()
    made.set(name, { body: before.body, at: now - SIGN_AGAIN_AFTER_MS + 60_000 })
    setImmediate(renew)
    return before.body
  }
}

/** The keys of the answer but `release` and `channelStatement`. */
function describeOffer({ app, channel, offer, runs }: ChosenOffer, publicUrl: string): Record<string, unknown> {
  const { bundle } = offer
  const address = `${publicUrl}/v1/apps/${app.id}/bundles/${bundle.id}`
  const patch = runs === null ? undefined : bundle.patches.get(runs)
  return {
    artifactType: bundle.artifactType,
    bundleId: bundle.id,
    channelName: channel.name,
    checksum: bundle.checksum,
    signature: bundle.signature,
    customProperties: bundle.customProperties,
    url: bundle.url ?? `${address}/download`,
    ...app.extra,
    ...(runs === null ? {} : bundle.bySource.get(runs)),
    ...(patch
      ? { patches: [{ from: patch.from, url: `${address}/patches/${patch.sha256}`, sizeBytes: patch.sizeBytes }] }
      : {}),
  }
}

function stateOffer(
  { app, channel, offer, platform: number }: ChosenOffer,
  release: NonNullable<PublishedBundle['release']>,
  now: number,
): ChannelStatement | null {
  const platform = platforms[number]
  if (!platform) return null
  const { payload } = JSON.parse(release.json.toString()) as Envelope
  return {
    _type: 'capstan-channel/v1',
    appId: app.id,
    channel: channel.name,
    platform,
    release: {
      sha256: createHash('sha256').update(Buffer.from(payload, 'base64')).digest('hex'),
      sequence: release.sequence,
    },
    rollout: { deploymentId: offer.deploymentId, percentage: offer.percentage },
    issuedAt: new Date(now).toISOString(),
    expiresAt: new Date(now + channelStatementLifetimeMs).toISOString(),
  }
}
