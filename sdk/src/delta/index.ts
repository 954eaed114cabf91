/**
 * Binary patches from one bundle to another: how they are laid out and applied. Making them is `./make`.
 *
 * @module
 */
export { applyPatch, defaultPatchLimits, type PatchLimits } from './apply-patch.js'
export { layOut, type ListedFile, type PatchLayout } from './container.js'
export { PatchError, type PatchErrorCode } from './patch-error.js'
