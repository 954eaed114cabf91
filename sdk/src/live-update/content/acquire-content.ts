import type { FileDigest } from '../../archive/sha256.js'
import { verifyFiles } from '../../release/index.js'
import type { StagedBundle } from '../bundle-storage.js'
import type { Candidate } from '../check-update.js'
import { digestFiles } from '../digest-bundle.js'
import { toLiveUpdateError } from '../live-update-error.js'
import type { Session } from '../session.js'
import type { BundleRef, ServedBundle } from '../state.js'
import type { ContentSource } from './content-source.js'
import { findRoot } from './find-root.js'
import { type ContentPlan, planContent } from './plan-content.js'
import { stageFiles } from './stage-files.js'

/** A bundle that is stored, verified and not visible yet. */
export interface AcquiredContent {
  bundle: BundleRef
  staged: StagedBundle
}

async function fill(
  session: Session,
  plan: ContentPlan,
  source: ContentSource,
): Promise<{ files: FileDigest[]; staged: StagedBundle }> {
  const staged = await session.world.storage.stage()
  const stager = stageFiles(staged, plan.files)
  try {
    await source.provide(stager.put)
    const files = await stager.finish()
    // [C6] and R16, R17: the same for whatever came from a patch, from single files or from the archive
    if (plan.files) verifyFiles({ files: plan.files }, files)
    return { files, staged }
  } catch (error) {
    // Nothing is left in flight when the place is taken away.
    await stager.finish().catch(() => null)
    await staged.discard().catch(() => null)
    throw error
  }
}

function servedBy({ latest, verified }: Candidate): ServedBundle {
  return { bundleId: latest.bundleId, deploymentId: verified?.channel.rollout.deploymentId ?? null }
}

/**
 * Brings the content of a candidate onto the device: from the cheapest source, and when that one fails in any way from
 * the next. Only the device's own storage ends it at once: another source would not find more room.
 *
 * @throws what the last source refused with
 */
export async function acquireContent(session: Session, candidate: Candidate): Promise<AcquiredContent> {
  const plan = await planContent(session, candidate)
  const sources = plan.sources.toSorted((a, b) => a.costBytes - b.costBytes)
  for (const [index, source] of sources.entries()) {
    try {
      const { files, staged } = await fill(session, plan, source)
      const bundle: BundleRef = {
        id: plan.id,
        bundleId: candidate.bundleId,
        releaseId: candidate.verified?.releaseId ?? plan.id,
        root: findRoot(files.map((file) => file.path)),
        filesDigest: await digestFiles(files),
        served: servedBy(candidate),
      }
      session.emit({ type: 'acquired', bundleId: candidate.bundleId, source: source.kind })
      return { bundle, staged }
    } catch (error) {
      const { code, message } = toLiveUpdateError(error)
      if (index === sources.length - 1 || code === 'STORAGE') throw error
      session.emit({ type: 'fell-back', bundleId: candidate.bundleId, source: source.kind, code, message })
    }
  }
  throw new Error('a plan without a source')
}
