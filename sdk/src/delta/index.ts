/**
 * Binary patches from one bundle to another: how they are laid out and applied. Making them is `./make`.
 *
 * @module
 */
export { applyPatch } from './apply-patch.js'
export { layOut, type ListedFile, type PatchLayout } from './container.js'
export { PatchError, type PatchErrorCode } from './patch-error.js'
export { defaultPatchLimits, type PatchHead, type PatchLimits, readPatchHead } from './read-patch-head.js'
