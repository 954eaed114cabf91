import type { LookupAddress } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { addressKind, canonicalAddress } from '@capstan/sdk/network'
import { OutboundError } from './outbound-error.js'

export type Resolve = (host: string) => Promise<LookupAddress[]>

export const resolveByHost: Resolve = (host) => lookup(host, { all: true, verbatim: true })

/**
 * The addresses of a host, looked up once, or a refusal when one of them is not to be called. `isNamed` hosts may be in
 * the operator's own networks; metadata and the like no host may be.
 */
export async function judgedAddresses(
  url: URL,
  isNamed: boolean,
  resolve: Resolve,
): Promise<[LookupAddress, ...LookupAddress[]]> {
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const [first, ...more] = isIP(host) === 0 ? await resolve(host) : [{ address: host, family: isIP(host) }]
  if (first === undefined) throw new OutboundError('unreachable', `${host} has no address.`)
  const own = isNamed ? new Set<string>() : ownAddresses()
  for (const { address } of [first, ...more]) {
    const kind = addressKind(address)
    const isAllowed = kind === 'public' ? !own.has(canonicalAddress(address)) : kind === 'private' && isNamed
    if (isAllowed) continue
    const how = kind === 'forbidden' ? '' : ' The operator can allow the host: OUTBOUND_PRIVATE_HOSTS.'
    throw new OutboundError('address-refused', `${host} has an address in a network that is not called.${how}`)
  }
  return [first, ...more]
}

/** A host that listens on a public address shows its own services there, and not all of them to the world. */
function ownAddresses(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((found) => found ?? [])
  return new Set(all.map(({ address }) => canonicalAddress(address)))
}
