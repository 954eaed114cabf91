import { bitWriter } from '../bit-coder.js'
import { type Copy, PatchCoder } from '../patch-coder.js'
import { PatchError } from '../patch-error.js'
import { defaultPatchLimits, type PatchLimits, writePatchHead } from '../read-patch-head.js'
import { type CopyTaste, findCopies } from './find-copies.js'
import { indexBytes } from './index-bytes.js'

/** `fast` tries one way to find copies, `best` several, and keeps the smallest patch. */
export type PatchEffort = 'fast' | 'best'

const tastes: Record<PatchEffort, readonly CopyTaste[]> = {
  fast: [{ shortest: 6, newPlaceCost: 12, depth: 16 }],
  best: [
    { shortest: 3, newPlaceCost: 12, depth: 64 },
    { shortest: 24, newPlaceCost: 14, depth: 64 },
    { shortest: 64, newPlaceCost: 16, depth: 64 },
  ],
}

function countSteps(copies: readonly Copy[], freshSize: number): number {
  return copies.reduce((left, { length }) => left - length + 1, freshSize)
}

/**
 * Makes a patch between two sides that `layOut` laid out.
 *
 * @returns `null` when a device could not apply any within `limits`
 * @throws {PatchError} `PATCH_TOO_LARGE`
 */
export function makePatch(
  old: Uint8Array,
  fresh: Uint8Array,
  { effort, limits = defaultPatchLimits }: { effort: PatchEffort; limits?: PatchLimits },
): Uint8Array | null {
  if (old.length + fresh.length > limits.maximumBytes)
    throw new PatchError('PATCH_TOO_LARGE', 'The bundles are too large for a patch.')
  const index = indexBytes(old, fresh)
  let smallest: Uint8Array | null = null
  for (const taste of tastes[effort]) {
    const copies = findCopies(index, taste)
    const steps = countSteps(copies, fresh.length)
    if (steps > limits.maximumSteps) continue
    const patch = encode(old, fresh, copies, steps)
    if (smallest === null || patch.length < smallest.length) smallest = patch
  }
  return smallest
}

function encode(old: Uint8Array, fresh: Uint8Array, copies: readonly Copy[], steps: number): Uint8Array {
  const writer = bitWriter(writePatchHead({ oldSize: old.length, freshSize: fresh.length, steps }))
  const coder = new PatchCoder(writer, { old, fresh, copies })
  while (coder.advance(Number.MAX_SAFE_INTEGER));
  return writer.finish()
}
