import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import type { bundles } from '@capstan/migrations'
import type { FileDigest } from '@capstan/sdk/archive'
import { ReleaseError, verifyFiles } from '@capstan/sdk/release'
import type { Context } from '../context.js'
import { Problem } from '../problems.js'
import { loadReleaseKeys } from '../public-keys/load-release-keys.js'
import { checkArchive } from './check-archive.js'
import { checkManifest, MANIFEST_NAME } from './check-manifest.js'
import type { Bundle, BundleFile } from './queries.js'
import { checkReleaseEnvelope, type ReleaseClaims } from './read-release-claims.js'

export type CheckedContents = {
  fileCount: number
  /** Of the zip or of the manifest, which names all other files. */
  sha256: string
  columns: Partial<typeof bundles.$inferInsert>
}

type Wanted = { appBundleFileId?: string | undefined; release?: Record<string, unknown> | undefined }

/** Judges everything that was uploaded for a bundle, before any of it can reach a device. */
export async function checkContents(
  ctx: Context,
  bundle: Bundle,
  files: readonly BundleFile[],
  wanted: Wanted,
): Promise<CheckedContents> {
  const unfinished = files.find((file) => file.objectKey === null)
  if (unfinished)
    throw new Problem('bundle-incomplete', `The upload of "${unfinished.href ?? unfinished.name}" is not finished.`)
  checkSignedAlike(files)
  const root = bundle.artifactType === 'zip' ? findZip(files, wanted.appBundleFileId) : findManifest(files)
  const bytes = await readFile(ctx, root)
  if (bundle.artifactType === 'manifest') {
    if (wanted.release)
      throw new Problem('release-invalid', 'A release statement covers a zip. Publish with artifactType "zip".')
    checkManifest(bytes, files)
    return { fileCount: files.length, sha256: root.sha256, columns: {} }
  }
  const claims = wanted.release ? await checkClaims(ctx, bundle, root, wanted.release) : null
  const digests = await checkArchive(bytes)
  if (claims) checkReleaseFiles(claims, digests)
  return {
    fileCount: files.length,
    sha256: root.sha256,
    columns: {
      fileId: root.id,
      checksum: root.sha256,
      signature: root.signature,
      ...(claims && wanted.release
        ? { releaseEnvelope: wanted.release, releaseSequence: claims.release.sequence }
        : {}),
    },
  }
}

/** A device with a public key needs a signature on each file; one without ignores them. Half is always a mistake. */
function checkSignedAlike(files: readonly BundleFile[]): void {
  const unsigned = files.filter((file) => !file.signature)
  if (unsigned.length === 0 || unsigned.length === files.length) return
  const [first] = unsigned
  throw new Problem(
    'bundle-signature-missing',
    `${unsigned.length} of ${files.length} files have no signature, "${first?.href ?? first?.name ?? ''}" for one. Sign all of them or none.`,
  )
}

function findZip(files: readonly BundleFile[], fileId: string | undefined): BundleFile {
  const [file] = files
  if (!file) throw new Problem('bundle-incomplete', 'The zip has not been uploaded.')
  if (fileId !== undefined && fileId !== file.id) {
    throw new Problem('bundle-incomplete', 'appBundleFileId: this bundle has no such file.')
  }
  return file
}

/** Old clients of the official CLI finish bundles whose manifest never arrived; devices would stay silently behind. */
function findManifest(files: readonly BundleFile[]): BundleFile {
  const manifest = files.find((file) => file.href === MANIFEST_NAME)
  if (!manifest) throw new Problem('bundle-incomplete', `${MANIFEST_NAME} was not uploaded. Upload the bundle again.`)
  return manifest
}

async function readFile(ctx: Context, file: BundleFile): Promise<Uint8Array> {
  if (!file.objectKey) throw new Problem('bundle-incomplete')
  const bytes = await buffer((await ctx.objects.get(file.objectKey)).body)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  if (sha256 !== file.sha256) throw new Error('A stored bundle file is not the one that was uploaded.')
  return bytes
}

async function checkClaims(
  ctx: Context,
  bundle: Bundle,
  zip: BundleFile,
  envelope: Record<string, unknown>,
): Promise<ReleaseClaims> {
  const keys = await loadReleaseKeys(ctx, bundle.appId)
  const claims = await checkReleaseEnvelope(envelope, keys, { appId: bundle.appId, now: ctx.now() })
  const { sha256, size } = claims.release.archive
  if (sha256 !== zip.sha256 || size !== zip.sizeBytes) {
    throw new Problem(
      'release-invalid',
      'The release statement is about another archive than the uploaded one. (HASH_MISMATCH)',
    )
  }
  return claims
}

function checkReleaseFiles({ release }: ReleaseClaims, digests: readonly FileDigest[]): void {
  try {
    verifyFiles(release, digests)
  } catch (error) {
    if (error instanceof ReleaseError) throw new Problem('release-invalid', `${error.message} (${error.code})`)
    throw error
  }
}
