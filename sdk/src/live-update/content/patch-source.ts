import type { FileDigest } from '../../archive/sha256.js'
import type { PatchLayout } from '../../delta/index.js'
import type { ReleaseStatement } from '../../release/index.js'
import type { Candidate } from '../check-update.js'
import { digestFiles } from '../digest-bundle.js'
import { LiveUpdateError } from '../live-update-error.js'
import type { Session } from '../session.js'
import type { BundleRef } from '../state.js'
import type { ContentSource } from './content-source.js'
import { download } from './download.js'

interface OfferedPatch {
  from: string
  url: string
  sizeBytes: number
}

const offersMaximum = 10

/** What cannot be read is no offer: the other sources remain. */
function readOffers(patches: unknown): OfferedPatch[] {
  if (!Array.isArray(patches)) return []
  return patches.slice(0, offersMaximum).flatMap((entry: Partial<OfferedPatch> | null) => {
    const { from, url, sizeBytes } = entry ?? {}
    const sound = typeof from === 'string' && typeof url === 'string' && Number.isSafeInteger(sizeBytes)
    return sound && typeof sizeBytes === 'number' && sizeBytes > 0 ? [{ from, url, sizeBytes }] : []
  })
}

/** The files that are really there; a bundle that was damaged since it was staged is no ground to build on. */
async function listInstalled(session: Session, bundle: BundleRef | null): Promise<FileDigest[]> {
  const { storage } = session.world
  const files = await storage.digest(bundle?.id ?? null)
  if (files === null || (bundle && (await digestFiles(files)) !== bundle.filesDigest))
    throw new LiveUpdateError('PATCH_MISMATCH', 'The installed files are not those that the patch is for.')
  return files
}

async function readInstalled(session: Session, id: string | null, layout: PatchLayout): Promise<Uint8Array> {
  const old = new Uint8Array(layout.oldSize)
  let offset = 0
  for (const file of layout.old) {
    const content = await session.world.storage.read(id, file.path)
    if (content?.length !== file.size)
      throw new LiveUpdateError('PATCH_MISMATCH', 'An installed file is not there as it was listed.')
    old.set(content, offset)
    offset += file.size
  }
  return old
}

function patchSource(
  session: Session,
  candidate: Candidate,
  { release, bundle, offer }: { release: ReleaseStatement; bundle: BundleRef | null; offer: OfferedPatch },
): ContentSource {
  return {
    kind: 'patch',
    costBytes: offer.sizeBytes,
    async provide(put) {
      const delta = await import('../../delta/index.js')
      const { applyPatch, defaultPatchLimits, layOut, PatchError, readPatchHead } = delta
      const asRefusal = (error: unknown): never => {
        throw error instanceof PatchError ? new LiveUpdateError(error.code, error.message, { cause: error }) : error
      }
      // What is there is looked at first: without it the patch is of no use.
      const layout = await listInstalled(session, bundle)
        .then((installed) => layOut(installed, release.files))
        .catch(asRefusal)
      if (layout.oldSize + layout.freshSize > defaultPatchLimits.maximumBytes)
        throw new LiveUpdateError('PATCH_TOO_LARGE', 'Applying the patch would take more memory than allowed.')
      const old = await readInstalled(session, bundle?.id ?? null, layout)
      const { bundleId } = candidate
      const totalBytes = offer.sizeBytes
      const { bytes } = await download(session, {
        url: offer.url,
        maximumBytes: totalBytes,
        onProgress: (receivedBytes) => session.emit({ type: 'progress', bundleId, receivedBytes, totalBytes }),
      })
      const makeFresh = async (): Promise<Uint8Array> => {
        readPatchHead(bytes, layout)
        return applyPatch(bytes, old, layout.freshSize)
      }
      const fresh = await makeFresh().catch(asRefusal)
      for (const { file, side, offset } of layout.places)
        await put(file.path, (side === 'old' ? old : fresh).subarray(offset, offset + file.size))
    },
  }
}

/** The patches that lead from what this device has to a release. */
export async function patchSources(
  session: Session,
  candidate: Candidate,
  release: ReleaseStatement,
): Promise<ContentSource[]> {
  // Memory for a patch is given only as far as the signed archive would take it, whatever the server announces.
  const offers = readOffers(candidate.latest.patches).filter(({ sizeBytes }) => sizeBytes < release.archive.size)
  if (offers.length === 0) return []
  const { current } = await session.load()
  // What the built-in bundle is called was compiled into the app, and the server was asked with that name.
  const usable = current === null ? offers.slice(0, 1) : offers.filter(({ from }) => from === current.id)
  return usable.slice(0, 1).map((offer) => patchSource(session, candidate, { release, bundle: current, offer }))
}
