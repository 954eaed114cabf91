import { Problem } from './problems.js'
import { SealError } from './vault/seal-client.js'

/** For `catch`: a broker that does not answer becomes a refusal that says so; anything else stays what it is. */
export function brokerUnavailable(error: unknown): never {
  if (!(error instanceof SealError)) throw error
  throw new Problem('dependency-unavailable', 'The credential broker, which has the key, does not answer. Try again.')
}
