import { channelStatementLifetimeMs } from '@capstan/sdk/release'
import type { Offer, PublishedApp, PublishedChannel } from './published-app.js'
import { openStatementKey } from './sign-channel-statement.js'
import { stateOffer } from './state-offer.js'

/** The JSON of an answer, in pieces to be sent one after the other; a short one also as a text of its bytes. */
export type AnswerBody = { pieces: readonly Buffer[]; text: string | null; /** Of all, in decimal. */ length: string }

const TEXT_BYTES = 16 * 1024

export function toAnswerBody(pieces: readonly Buffer[]): AnswerBody {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const text = length <= TEXT_BYTES ? Buffer.concat(pieces).toString('latin1') : null
  return { pieces, text, length: String(length) }
}

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
    if (!release) return toAnswerBody([Buffer.from(head)])
    const { app, channel, offer, platform } = chosen
    const statement = key ? stateOffer({ appId: app.id, channel, offer, release, platform }, key, now) : null
    const tail = statement ? `,"channelStatement":${JSON.stringify(statement)}}` : '}'
    return toAnswerBody([Buffer.from(`${head.slice(0, -1)},"release":`), release.json, Buffer.from(tail)])
  }

  return (chosen, now) => {
    const { made, bundle } = chosen.offer
    const { runs } = chosen
    const source = runs !== null && (bundle.bySource.has(runs) || bundle.patches.has(runs)) ? runs : ''
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

/** In every answer to a check, also that there is no update: a revocation reaches devices whatever they are offered. */
export function rootsOf({ roots }: Pick<PublishedApp, 'roots'>): { roots?: readonly object[] } {
  return roots.length > 0 ? { roots: roots.map(({ envelope }) => envelope) } : {}
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
    ...rootsOf(app),
    ...(runs === null ? {} : bundle.bySource.get(runs)),
    ...(patch
      ? { patches: [{ from: patch.from, url: `${address}/patches/${patch.sha256}`, sizeBytes: patch.sizeBytes }] }
      : {}),
  }
}
