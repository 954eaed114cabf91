import type { ObjectStore } from '../objects/object-store.js'
import type { PublishedApp, PublishedBundle } from '../updates/published-app.js'
import type { StatementKey } from '../updates/sign-channel-statement.js'
import { describeChannel, rootObjectsOf, sha256Of } from './describe-channel.js'
import type { ContentObject } from './find-content.js'
import { channelObjectName, type StaticKind, staticKinds } from './static-paths.js'
import type { StaticObject } from './static-store.js'

/** An object that an app wants to be there. */
export type WantedObject = {
  kind: StaticKind
  /** Below the folder of the app. */
  path: string
  /** Another one means that it has to be written anew. */
  digest: string
  open(): Promise<StaticObject>
}

type Making = { objects: ObjectStore; key: StatementKey; now: number }

/** Every object of an app, in the order in which they have to be written: what is named before what names it. */
export function wantedObjects(app: PublishedApp, content: readonly ContentObject[], making: Making): WantedObject[] {
  return [
    ...content.map((object) => toWanted(object.kind, object.name, object.name, () => openContent(object, making))),
    ...releasesOf(app).map(({ json }) => named('releases', json)),
    ...rootObjectsOf(app).map(({ json }) => named('roots', Buffer.from(json))),
    ...channelsOf(app, making),
  ]
}

function channelsOf(app: PublishedApp, { key, now }: Making): WantedObject[] {
  const described = [...app.channels.values()].flatMap((channel) => describeChannel(app, channel))
  return described.map((object) =>
    toWanted('channels', channelObjectName(object.channel, object.platform), object.digest, async () =>
      whole(Buffer.from(JSON.stringify(object.write(key, now)))),
    ),
  )
}

function releasesOf(app: PublishedApp): NonNullable<PublishedBundle['release']>[] {
  const offers = [...app.channels.values()].flatMap((channel) => channel.offers)
  return offers.flatMap(({ bundle }) => bundle.release ?? [])
}

type Opened = Pick<StaticObject, 'body' | 'sizeBytes'>

async function openContent({ objectKey, sizeBytes }: ContentObject, { objects }: Making): Promise<Opened> {
  return { body: (await objects.get(objectKey)).body, sizeBytes }
}

function whole(body: Buffer): Opened {
  return { body, sizeBytes: body.length }
}

function named(kind: 'releases' | 'roots', json: Buffer): WantedObject {
  const sha256 = sha256Of(json)
  return toWanted(kind, `${sha256}.json`, sha256, async () => whole(json))
}

function toWanted(kind: StaticKind, name: string, digest: string, open: () => Promise<Opened>): WantedObject {
  return { kind, path: `${kind}/${name}`, digest, open: async () => ({ ...(await open()), ...staticKinds[kind] }) }
}
