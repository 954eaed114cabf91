import type { Transaction } from '@capstan/migrations'
import { sql } from 'drizzle-orm'
import { versionCodesOf } from './version-codes-of.js'
import type { Offer, PublishedApp, PublishedBundle, PublishedChannel } from './published-app.js'

/** How far back the search for a device outside a rollout goes. */
const MAX_OFFERS = 25

type AppRow = { id: string; org_id: string; app_channel_id: string | null }
type ChannelRow = { app_id: string; id: string; name: string; paused_at: number | null; expires_at: number | null }
type OfferRow = {
  channel_id: string
  deployment_id: string
  percentage: number
  bundle_id: string
  artifact_type: 'zip' | 'manifest'
  checksum: string | null
  signature: string | null
  url: string | null
  release_sequence: string | null
  zip_sha256: string | null
  constraints: Record<string, string>
  custom_properties: Record<string, string>
}
type RootRow = { app_id: string; version: number; envelope: Record<string, unknown> }
type HazardRow = { from_bundle_id: string; to_bundle_id: string; href: string }
type PatchRow = { from_bundle_id: string; to_bundle_id: string; from: string; sha256: string; size_bytes: number }
type ForcedRow = { app_id: string; id: string; channel_id: string }

/** Reads apps through the door `withPublished`. An app that is not there any more is missing from the result. */
export async function loadPublished(tx: Transaction, appIds: readonly string[]): Promise<PublishedApp[]> {
  const ids = sql`(select value::uuid from jsonb_array_elements_text(${JSON.stringify(appIds)}::text::jsonb))`
  const rows = async <T>(query: ReturnType<typeof sql>) => [...(await tx.execute(query))] as unknown as T[]
  const apps = await rows<AppRow>(sql`select id, org_id, app_channel_id from apps where id in ${ids}`)
  const channels = await rows<ChannelRow>(sql`
    select app_id, id, name, (extract(epoch from paused_at) * 1000)::float8 as paused_at,
      (extract(epoch from expires_at) * 1000)::float8 as expires_at
    from channels where app_id in ${ids}`)
  const offers = await rows<OfferRow>(reachableOffers(ids))
  const forced = await rows<ForcedRow>(sql`
    select app_id, id, forced_app_channel_id as channel_id from devices
    where forced_app_channel_id is not null and app_id in ${ids}`)
  const hazards = offers.some((row) => row.artifact_type === 'manifest')
    ? await rows<HazardRow>(sql`
        select from_bundle_id, to_bundle_id, href from bundle_copy_hazards where app_id in ${ids}`)
    : []
  const roots = await rows<RootRow>(
    sql`select app_id, version, envelope from app_roots where app_id in ${ids} order by version`,
  )
  const [patches, releases] = [await loadPatches(tx, offers), await loadReleases(tx, offers)]
  return assemble({ apps, channels, offers, forced, hazards, patches, roots, releases })
}

/** Deployments from the current one of a channel back to the first that every device gets. */
function reachableOffers(appIds: ReturnType<typeof sql>) {
  return sql`
    select c.id as channel_id, o.* from channels c
    left join lateral (
      select d.id from deployments d join bundles b on b.id = d.bundle_id
      where d.app_channel_id = c.id and d.id <= c.app_deployment_id and d.rollout_percentage >= 1 and b.status = 'ready'
      order by d.id desc limit 1
    ) everybody on true
    cross join lateral (
      select d.id as deployment_id, d.rollout_percentage as percentage, d.bundle_id, b.artifact_type, b.checksum,
        b.signature, b.url, b.release_sequence, b.zip_sha256, u.constraints, u.custom_properties
      from deployments d join bundles b on b.id = d.bundle_id join builds u on u.id = d.app_build_id
      where d.app_channel_id = c.id and d.id <= c.app_deployment_id and d.id >= coalesce(everybody.id, d.id)
        and b.status = 'ready'
      order by d.id desc limit ${MAX_OFFERS}
    ) o
    where c.app_id in ${appIds} and c.app_deployment_id is not null
    order by c.id, o.deployment_id desc`
}

/** Release envelopes are large: only those that a device can get are read. */
async function loadReleases(tx: Transaction, offers: readonly OfferRow[]): Promise<Map<string, Buffer>> {
  const ids = [...new Set(offers.filter((row) => row.release_sequence !== null).map((row) => row.bundle_id))]
  const found = new Map<string, Buffer>()
  if (ids.length === 0) return found
  const rows = await tx.execute(sql`select id, release_envelope::text as json from bundles
    where release_envelope is not null
      and id in (select value::uuid from jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb))`)
  for (const { id, json } of rows as unknown as { id: string; json: string }[]) found.set(id, Buffer.from(json))
  return found
}

/** Only those that lead to what a device can get. */
async function loadPatches(tx: Transaction, offers: readonly OfferRow[]): Promise<PatchRow[]> {
  const ids = [...new Set(offers.filter((row) => row.release_sequence !== null).map((row) => row.bundle_id))]
  if (ids.length === 0) return []
  const rows = await tx.execute(sql`
    select p.from_bundle_id, p.to_bundle_id, b.checksum as "from", p.sha256, p.size_bytes::float8 as size_bytes
    from bundle_patches p join bundles b on b.id = p.from_bundle_id
    where p.sha256 is not null and b.checksum is not null
      and p.to_bundle_id in (select value::uuid from jsonb_array_elements_text(${JSON.stringify(ids)}::text::jsonb))`)
  return [...rows] as unknown as PatchRow[]
}

type Loaded = {
  apps: readonly AppRow[]
  channels: readonly ChannelRow[]
  offers: readonly OfferRow[]
  forced: readonly ForcedRow[]
  hazards: readonly HazardRow[]
  patches: readonly PatchRow[]
  roots: readonly RootRow[]
  releases: ReadonlyMap<string, Buffer>
}

function assemble(loaded: Loaded): PublishedApp[] {
  const { apps, channels, offers, forced, hazards, patches, roots, releases } = loaded
  const bundles = new Map<string, PublishedBundle>()
  const offersOf = groupBy(offers, (row) => row.channel_id)
  const channelsOf = groupBy(channels, (row) => row.app_id)
  const hazardsOf = groupBy(hazards, (row) => row.to_bundle_id)
  const patchesOf = groupBy(patches, (row) => row.to_bundle_id)
  const rootsOf = groupBy(roots, (row) => row.app_id)
  const forcedOf = groupBy(forced, (row) => row.app_id)
  const toOffer = (row: OfferRow): Offer => {
    const id = row.bundle_id
    const bundle =
      bundles.get(id) ??
      toBundle(row, releases.get(id), { hazards: hazardsOf.get(id) ?? [], patches: patchesOf.get(id) ?? [] })
    bundles.set(id, bundle)
    const { deployment_id: deploymentId, percentage } = row
    return { deploymentId, percentage, versionCodes: versionCodesOf(row.constraints), bundle, made: new Map() }
  }
  return apps.map((app) => {
    const byId = new Map<string, PublishedChannel>()
    for (const row of channelsOf.get(app.id) ?? []) {
      const { id, name, paused_at: pausedAt, expires_at: expiresAt } = row
      byId.set(id, { id, name, pausedAt, expiresAt, offers: (offersOf.get(id) ?? []).map(toOffer) })
    }
    const tied = (forcedOf.get(app.id) ?? []).flatMap(({ id, channel_id }) => {
      const channel = byId.get(channel_id)
      return channel ? [[id, channel] as const] : []
    })
    return {
      id: app.id,
      orgId: app.org_id,
      defaultChannel: byId.get(app.app_channel_id ?? '') ?? null,
      channels: new Map([...byId.values()].map((channel) => [channel.name, channel])),
      forced: new Map(tied),
      roots: (rootsOf.get(app.id) ?? []).map(({ version, envelope }) => ({ version, envelope })),
    }
  })
}

function toBundle(
  row: OfferRow,
  json: Buffer | undefined,
  { hazards, patches }: Pick<Loaded, 'hazards' | 'patches'>,
): PublishedBundle {
  const { zip_sha256: checksum } = row
  const asZip = { artifactType: 'zip', checksum, signature: null }
  return {
    id: row.bundle_id,
    artifactType: row.artifact_type,
    checksum: row.checksum,
    signature: row.signature,
    customProperties: row.custom_properties,
    url: row.url,
    release: json ? { json, sequence: Number(row.release_sequence) } : null,
    hazards: new Map(hazards.map(({ from_bundle_id: from, href }) => [from, href])),
    patches: new Map(
      patches.map(({ from_bundle_id: id, from, sha256, size_bytes: sizeBytes }) => [id, { from, sha256, sizeBytes }]),
    ),
    bySource: new Map(checksum === null ? [] : hazards.map(({ from_bundle_id: from }) => [from, asZip])),
  }
}

function groupBy<T>(rows: readonly T[], keyOf: (row: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const row of rows) {
    const group = groups.get(keyOf(row))
    if (group) group.push(row)
    else groups.set(keyOf(row), [row])
  }
  return groups
}
