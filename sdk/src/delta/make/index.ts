/**
 * Makes the patches that `@capstan/sdk/delta` applies. Needs about 40 bytes of memory for each byte of both bundles; meant
 * for a program of its own.
 *
 * @module
 */
export { makePatch, type PatchEffort } from './make-patch.js'
