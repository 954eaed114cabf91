import { bitReader } from './bit-coder.js'
import { PatchCoder } from './patch-coder.js'
import { PatchError } from './patch-error.js'
import { patchHeadBytes, readPatchHead } from './read-patch-head.js'

/** What applying a patch may take. */
export interface PatchLimits {
  /** Bytes of both sides together, which are in memory at once. */
  maximumBytes: number
  /** Literals and copies; an ordinary computer decodes about 200 000 a second. */
  maximumSteps: number
}

/** Both sides of an ordinary bundle, and about ten seconds. */
export const defaultPatchLimits: PatchLimits = { maximumBytes: 96 * 1024 * 1024, maximumSteps: 2_000_000 }

const stepsAtOnce = 8192

/**
 * Makes the fresh bytes from the old ones. Gives way to other work again and again. What comes out is to be compared with
 * the signed list: a patch is not signed itself and needs no trust.
 *
 * @param old the old side, see `layOut`
 * @param freshSize the bytes that are expected, from the signed list
 * @throws {PatchError}
 */
export async function applyPatch(
  patch: Uint8Array,
  old: Uint8Array,
  freshSize: number,
  limits: PatchLimits = defaultPatchLimits,
): Promise<Uint8Array> {
  const head = readPatchHead(patch)
  // [P4] nothing is allocated before the sizes are those of the signed lists and within the limits
  if (head.oldSize !== old.length || head.freshSize !== freshSize)
    throw new PatchError('PATCH_MISMATCH', 'The patch is for other bundles.')
  if (head.oldSize + head.freshSize > limits.maximumBytes || head.steps > limits.maximumSteps)
    throw new PatchError('PATCH_TOO_LARGE', 'Applying the patch would take more memory or time than allowed.')
  const fresh = new Uint8Array(freshSize)
  if (freshSize === 0) return fresh
  const coder = new PatchCoder(bitReader(patch, patchHeadBytes), { old, fresh, copies: null })
  while (coder.advance(stepsAtOnce)) {
    // [P11] a damaged patch ends here, long before it would end by itself
    if (coder.steps > head.steps) throw new PatchError('PATCH_MALFORMED', 'The patch has more steps than it says.')
    await new Promise((resolve) => setTimeout(resolve, 0))
  }
  if (coder.steps !== head.steps)
    throw new PatchError('PATCH_MALFORMED', 'The patch has another number of steps than it says.')
  return fresh
}
