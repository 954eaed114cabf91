import { PatchError } from './patch-error.js'

/** The four bytes that every patch starts with. */
const patchMagic = 'CSP1'
/** Bytes before the coded ones. */
export const patchHeadBytes = 16

/** What a patch says of itself before anything of it is decoded. */
export interface PatchHead {
  /** Bytes of the old side. */
  oldSize: number
  /** Bytes that it makes. */
  freshSize: number
  /** In how many literals and copies; they take the time. */
  steps: number
}

/** What applying a patch may take. */
export interface PatchLimits {
  /** Bytes of both sides together, which are in memory at once. */
  maximumBytes: number
  /** Literals and copies; an ordinary computer decodes about 200 000 a second. */
  maximumSteps: number
}

/** Both sides of an ordinary bundle, and about ten seconds. */
export const defaultPatchLimits: PatchLimits = { maximumBytes: 96 * 1024 * 1024, maximumSteps: 2_000_000 }

/**
 * [P3] Reads the head: `CSP1`, then the three numbers, big-endian in 32 bits; compares it with what is expected.
 *
 * @param expected the sizes of both sides, from the signed lists
 * @throws {PatchError}
 */
export function readPatchHead(
  patch: Uint8Array,
  expected: { oldSize: number; freshSize: number },
  limits: PatchLimits = defaultPatchLimits,
): PatchHead {
  const magic = String.fromCharCode(...patch.subarray(0, 4))
  if (patch.length < patchHeadBytes || magic !== patchMagic)
    throw new PatchError('PATCH_MALFORMED', 'These bytes are not a patch.')
  const view = new DataView(patch.buffer, patch.byteOffset, patchHeadBytes)
  const head = { oldSize: view.getUint32(4), freshSize: view.getUint32(8), steps: view.getUint32(12) }
  if (head.steps > head.freshSize) throw new PatchError('PATCH_MALFORMED', 'The head of the patch contradicts itself.')
  // [P4] nothing is allocated before the sizes are those of the signed lists and within the limits
  if (head.oldSize !== expected.oldSize || head.freshSize !== expected.freshSize)
    throw new PatchError('PATCH_MISMATCH', 'The patch is for other bundles.')
  if (head.oldSize + head.freshSize > limits.maximumBytes || head.steps > limits.maximumSteps)
    throw new PatchError('PATCH_TOO_LARGE', 'Applying the patch would take more memory or time than allowed.')
  return head
}

/** The head as bytes. */
export function writePatchHead({ oldSize, freshSize, steps }: PatchHead): Uint8Array {
  const bytes = new Uint8Array(patchHeadBytes)
  for (let i = 0; i < 4; i++) bytes[i] = patchMagic.charCodeAt(i)
  const view = new DataView(bytes.buffer)
  view.setUint32(4, oldSize)
  view.setUint32(8, freshSize)
  view.setUint32(12, steps)
  return bytes
}
