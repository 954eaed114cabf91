import { digestOwn } from '../auth/identity-keys.js'
import type { Deps } from '../context.js'

export const deviceHashOf = (deps: Deps, id: string): string => digestOwn(deps.pepper, 'device-code', id)

/** People type it with or without the dash, in small letters, with spaces. */
export const userCodeHashOf = (deps: Deps, code: string): string =>
  digestOwn(deps.pepper, 'user-code', code.toUpperCase().replaceAll(/[^A-Z]/g, ''))
