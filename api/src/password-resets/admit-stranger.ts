import { networkOf } from '../auth/client-address.js'
import type { Deps } from '../context.js'
import { limitRate } from '../limit-rate.js'
import { Problem } from '../problems.js'

const admitNetwork = limitRate({ burst: 20, perSecond: 0.05 })

export function admitStranger({ now }: Deps, address: string | null): void {
  if (address === null || admitNetwork(networkOf(address), now())) return
  throw new Problem('too-many-requests', 'Too many passwords are reset from your network. Try again in a minute.')
}
