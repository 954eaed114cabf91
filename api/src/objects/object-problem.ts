import { Problem } from '../problems.js'
import { ObjectStoreError } from './object-store.js'

/** Turns what a caller did wrong into a problem; what the store itself could not do stays an error. For `.catch()`. */
export function asProblem(error: unknown): never {
  if (!(error instanceof ObjectStoreError)) throw error
  switch (error.code) {
    case 'object-not-found':
      throw new Problem('object-not-found', 'The stored object does not exist (any more).')
    case 'object-exists':
      throw new Problem('object-exists', 'Something is stored there already; objects are written once.')
    case 'object-too-large':
      throw new Problem('request-too-large', error.message)
    case 'object-size-mismatch':
    case 'object-checksum-mismatch':
      throw new Problem('object-rejected', error.message)
    case 'object-range-invalid':
      throw new Problem('range-invalid', error.message)
    default:
      throw error
  }
}
