/**
 * Why a patch was not applied. The codes are stable and never renamed.
 *
 * - `PATCH_MALFORMED`: it is cut short, damaged, or says something impossible
 * - `PATCH_TOO_LARGE`: applying it would take more memory or time than allowed
 * - `PATCH_MISMATCH`: it is not for these bundles
 */
export type PatchErrorCode = 'PATCH_MALFORMED' | 'PATCH_TOO_LARGE' | 'PATCH_MISMATCH'

/** The one error of patches. Nothing was written anywhere. */
export class PatchError extends Error {
  override name = 'PatchError' as const
  readonly code: PatchErrorCode

  constructor(code: PatchErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
