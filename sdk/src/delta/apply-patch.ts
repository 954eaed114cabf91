import { bitReader } from './bit-coder.js'
import { PatchCoder } from './patch-coder.js'
import { PatchError } from './patch-error.js'
import { defaultPatchLimits, patchHeadBytes, type PatchLimits, readPatchHead } from './read-patch-head.js'

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
  const head = readPatchHead(patch, { oldSize: old.length, freshSize }, limits)
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
