import type { LookupAddress } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect, isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import { addressKind, canonicalAddress } from '@capstan/sdk/network'
import type { Decision, HostPolicy } from './host-policy.js'
import { decide } from './host-policy.js'

export type Target = { host: string; port: number }

export type Resolve = (host: string) => Promise<LookupAddress[]>

/** Why a host is not called, as a sentence for the build's log. */
export class Refused extends Error {
  override name = 'Refused'
}

const connectMs = 15_000
/** Between two bytes of one connection; a build tool that waits longer has lost its server. */
const silentMs = 5 * 60_000

export const resolveByHost: Resolve = (host) => lookup(host, { all: true, verbatim: true })

/**
 * Connects to a host that the policy allows. The addresses are looked up once, all of them are judged, and the connection
 * goes to one of those: a name that changes its address in between changes nothing.
 */
export async function connectOut(policy: HostPolicy, resolve: Resolve, { host, port }: Target): Promise<Socket> {
  const decision = decide(policy, host, port)
  if (decision === 'refused') {
    throw new Refused(
      `${host}:${port} is not on the list of hosts that builds may call. Add it to the app's allowed hosts, or to EGRESS_HOSTS of the worker.`,
    )
  }
  const addresses = await addressesOf(resolve, host)
  for (const { address } of addresses) judge(decision, host, address)
  let failure: unknown
  for (const { address } of addresses.slice(0, 3)) {
    try {
      return await open(address, port)
    } catch (error) {
      failure = error
    }
  }
  throw new Error(`${host}:${port} does not answer`, { cause: failure })
}

async function addressesOf(resolve: Resolve, host: string): Promise<LookupAddress[]> {
  if (isIP(host) !== 0) return [{ address: host, family: isIP(host) }]
  let late: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    late = setTimeout(() => reject(new Error(`${host} could not be looked up in time`)), connectMs)
  })
  try {
    const addresses = await Promise.race([resolve(host), limit])
    if (addresses.length === 0) throw new Error(`${host} has no address`)
    return addresses
  } finally {
    clearTimeout(late)
  }
}

function judge(decision: Decision, host: string, address: string): void {
  const kind = addressKind(address)
  const isOwn = decision !== 'private' && ownAddresses().has(canonicalAddress(address))
  if (kind === 'public' && !isOwn) return
  if (kind === 'private' && decision === 'private') return
  throw new Refused(`${host} has an address in a network that builds may not reach.`)
}

/** A host that listens on a public address shows its own services there, and not all of them to the world. */
function ownAddresses(): Set<string> {
  const all = Object.values(networkInterfaces()).flatMap((found) => found ?? [])
  return new Set(all.map(({ address }) => canonicalAddress(address)))
}

async function open(address: string, port: number): Promise<Socket> {
  const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(connectMs) })
  } catch (error) {
    socket.destroy()
    throw error
  }
  // A connection may break before anybody listens to it; its reader finds it closed.
  socket.on('error', () => undefined)
  socket.setTimeout(silentMs, () => socket.destroy(new Error('the connection was silent for too long')))
  return socket
}
