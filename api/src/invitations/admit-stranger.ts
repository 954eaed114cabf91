import { networkOf } from '../auth/client-address.js'
import type { Deps } from '../context.js'
import { limitRate } from '../limit-rate.js'
import { Problem } from '../problems.js'

/** Guesses from one place must not take the database's time from everybody. */
const admitNetwork = limitRate({ burst: 30, perSecond: 0.2 })

export function admitStranger({ now }: Deps, address: string | null): void {
  if (address === null || admitNetwork(networkOf(address), now())) return
  throw new Problem('too-many-requests', 'Too many invitations are tried from your network. Try again in a minute.')
}
