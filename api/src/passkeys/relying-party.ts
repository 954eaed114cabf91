import { isIP } from 'node:net'
import type { Deps } from '../context.js'
import { Problem } from '../problems.js'

/** What browsers bind passkeys to: the host name of the public address. */
export function relyingParty(deps: Deps): { id: string; origin: string } {
  const { hostname, origin } = new URL(deps.publicUrl)
  if (isIP(hostname.replace(/^\[|\]$/g, '')) !== 0) {
    throw new Problem(
      'passkey-refused',
      'Passkeys need a host name: set PUBLIC_URL to one (localhost will do for trying).',
    )
  }
  return { id: hostname, origin }
}
