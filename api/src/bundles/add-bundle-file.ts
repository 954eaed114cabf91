import { createHash } from 'node:crypto'
import { bundleFiles, bundles, newId, withOrg, type Transaction } from '@capstan/migrations'
import { and, eq, isNull, sql } from 'drizzle-orm'
import { recordAudit } from '../audit/record-audit.js'
import { type Context, requireScope } from '../context.js'
import { ObjectStoreError } from '../objects/object-store.js'
import { Problem } from '../problems.js'
import { loadReleaseKeys } from '../public-keys/load-release-keys.js'
import { checkPaths } from './check-path.js'
import { checkSignature, checkSignatureText } from './check-signature.js'
import { type Bundle, type BundleFile, bundleObjectFolder, requireBundle } from './queries.js'
import { type BrotliColumns, storeBrotli } from './store-brotli.js'

const MAX_ARCHIVE_BYTES = 200 * 1024 * 1024
const MAX_FILE_BYTES = 50 * 1024 * 1024
const MAX_FILES = 10_001

export type AddBundleFile = {
  appId: string
  bundleId: string
  checksum: string
  /** Absent when the file follows as a multipart upload. */
  content?: Uint8Array | undefined
  href?: string | undefined
  mimeType: string
  name: string
  signature?: string | undefined
  sizeInBytes: number
}

type Stored = { objectKey: string | null; status: 'ready' | 'pending' } & Partial<BrotliColumns>
const PENDING: Stored = { objectKey: null, status: 'pending' }

/** Adds a file to a bundle that is not ready yet. Sending the same file again answers with the first one. */
export async function addBundleFile(ctx: Context, input: AddBundleFile): Promise<BundleFile> {
  requireScope(ctx, 'bundles:write')
  const bundle = await withOrg(ctx.db, ctx.orgId, (tx) => requireBundle(tx, input.appId, input.bundleId))
  checkDeclaration(bundle, input)
  const known = await withOrg(ctx.db, ctx.orgId, (tx) => findTwin(tx, input))
  if (known && (known.objectKey || !input.content)) return known
  if (bundle.status !== 'pending') throw immutable()
  if (input.signature !== undefined) checkSignatureText(input.signature)
  const id = known?.id ?? newId()
  if (!input.content) return record(ctx, bundle, id, input, PENDING)
  await checkContent(ctx, input, input.content)
  const objectKey = `${bundleObjectFolder(bundle, id)}/${newId()}`
  await putContent(ctx, objectKey, input, input.content)
  const forget = async () => {
    await ctx.objects.delete(objectKey)
    await ctx.objects.delete(`${objectKey}-br`)
  }
  const file = await storeAndRecord().catch(async (error: unknown) => {
    await forget()
    throw error
  })
  if (file.objectKey !== objectKey) await forget()
  return file

  async function storeAndRecord() {
    const { href, content = new Uint8Array() } = input
    const brotli = await storeBrotli(ctx, { objectKey, href, content })
    return record(ctx, bundle, id, input, { ...brotli, objectKey, status: 'ready' })
  }
}

function immutable(): Problem {
  return new Problem('bundle-immutable', 'The content of this bundle is fixed. Create a new bundle for other content.')
}

function checkDeclaration(bundle: Bundle, input: AddBundleFile): void {
  if (bundle.url !== null)
    throw new Problem('bundle-immutable', 'This bundle is kept at its own url; it takes no files.')
  if (bundle.artifactType === 'zip' && input.href !== undefined) {
    throw new Problem('bundle-file-invalid', 'href: a zip bundle is one file without a path.')
  }
  if (bundle.artifactType === 'manifest') {
    if (input.href === undefined)
      throw new Problem('bundle-file-invalid', 'href: say where in the bundle the file belongs.')
    checkPaths([input.href])
  }
  const limit = bundle.artifactType === 'zip' ? MAX_ARCHIVE_BYTES : MAX_FILE_BYTES
  if (input.sizeInBytes > limit) {
    throw new Problem(
      'bundle-file-invalid',
      `sizeInBytes: the file has ${input.sizeInBytes} bytes; ${limit} are allowed. (${bundle.artifactType === 'zip' ? 'ARCHIVE_TOO_LARGE' : 'ARCHIVE_FILE_TOO_LARGE'})`,
    )
  }
}

async function checkContent(ctx: Context, input: AddBundleFile, content: Uint8Array): Promise<void> {
  if (content.byteLength !== input.sizeInBytes) {
    throw new Problem(
      'bundle-file-invalid',
      `sizeInBytes: ${content.byteLength} bytes arrived instead of ${input.sizeInBytes}. Send the file again.`,
    )
  }
  const sha256 = createHash('sha256').update(content).digest('hex')
  if (sha256 !== input.checksum) {
    throw new Problem('bundle-file-invalid', `checksum: the bytes that arrived hash to ${sha256}. Send the file again.`)
  }
  if (input.signature !== undefined) {
    await checkSignature(await loadReleaseKeys(ctx, input.appId), content, input.signature)
  }
}

/** The file that stands at this place of the bundle; one with another content is refused, whatever it is. */
async function findTwin(tx: Transaction, input: AddBundleFile): Promise<BundleFile | null> {
  const place = input.href === undefined ? isNull(bundleFiles.href) : eq(bundleFiles.href, input.href)
  const [twin] = await tx
    .select()
    .from(bundleFiles)
    .where(and(eq(bundleFiles.bundleId, input.bundleId), place))
  if (!twin) return null
  const same =
    twin.sha256 === input.checksum &&
    twin.sizeBytes === input.sizeInBytes &&
    twin.signature === (input.signature ?? null)
  if (!same) throw immutable()
  return twin
}

/** A multipart request is never answered with 5xx: the official CLI would hang while it repeats it. */
async function putContent(ctx: Context, key: string, input: AddBundleFile, content: Uint8Array): Promise<void> {
  try {
    await ctx.objects.put(key, content, {
      contentType: 'application/octet-stream',
      sha256: input.checksum,
      sizeBytes: input.sizeInBytes,
    })
  } catch (error) {
    if (!(error instanceof ObjectStoreError)) throw error
    ctx.log.error({ err: error, requestId: ctx.requestId }, 'bundle file was not stored')
    throw new Problem(
      'upload-not-stored',
      'The file could not be stored just now. Upload the bundle again in a moment.',
    )
  }
}

/** The bundle's row is held, so that it cannot become ready while a file is being added. */
async function record(
  ctx: Context,
  bundle: Bundle,
  id: string,
  input: AddBundleFile,
  stored: Stored,
): Promise<BundleFile> {
  return withOrg(ctx.db, ctx.orgId, async (tx) => {
    const [open] = await tx
      .select({ count: sql<number>`(select count(*)::int from bundle_files f where f.bundle_id = bundles.id)` })
      .from(bundles)
      .where(and(eq(bundles.id, bundle.id), eq(bundles.status, 'pending')))
      .for('share')
    if (!open) throw immutable()
    if (open.count >= MAX_FILES)
      throw new Problem(
        'bundle-file-invalid',
        `A bundle has at most ${MAX_FILES - 1} files. (ARCHIVE_TOO_MANY_ENTRIES)`,
      )
    const [added] = await tx
      .insert(bundleFiles)
      .values({
        id,
        orgId: ctx.orgId,
        bundleId: bundle.id,
        href: input.href ?? null,
        name: input.name,
        mimeType: input.mimeType,
        sizeBytes: input.sizeInBytes,
        sha256: input.checksum,
        signature: input.signature ?? null,
        ...stored,
      })
      .onConflictDoNothing()
      .returning()
    const file = added ?? (await fill(tx, input, stored))
    await recordAudit(tx, ctx, {
      action: 'bundle-file.added',
      target: { app: bundle.appId, bundle: bundle.id, file: file.id },
      data: { sha256: file.sha256, sizeBytes: file.sizeBytes, signed: file.signature !== null },
    })
    return file
  })
}

/** Somebody else was first at this place: the bytes still count if the row waits for them. */
async function fill(tx: Transaction, input: AddBundleFile, stored: Stored): Promise<BundleFile> {
  const twin = await findTwin(tx, input)
  if (!twin) throw new Error('A file conflicts with one that is not there.')
  if (twin.objectKey || !stored.objectKey) return twin
  const [filled] = await tx
    .update(bundleFiles)
    .set(stored)
    .where(and(eq(bundleFiles.id, twin.id), isNull(bundleFiles.objectKey)))
    .returning()
  return filled ?? twin
}
