import type { StaticStore } from './static-store.js'

/** Where static objects lie: a folder that the API serves itself, or a bucket that a CDN reads. */
export type StaticPlace =
  | { kind: 'folder'; dir: string }
  | { kind: 'bucket'; bucket: string; endpoint?: string; region?: string }

/** The one place that knows which kind of store is in use. */
export async function openStaticStore(place: StaticPlace): Promise<StaticStore> {
  if (place.kind === 'folder') return (await import('./folder-store.js')).openFolderStore(place.dir)
  const { bucket, endpoint, region } = place
  const [{ createS3Client }, { createBucketStore }] = await Promise.all([
    import('../objects/s3-client.js'),
    import('./bucket-store.js'),
  ])
  return createBucketStore({ client: createS3Client({ endpoint, region }), bucket })
}
