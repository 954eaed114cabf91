import { BlockList, isIP, isIPv4 } from 'node:net'
import { Problem } from '../problems.js'

/** Says whether an address lies in one of the networks that it was made of. */
export type Networks = { includes(address: string | null): boolean }

/** Networks in CIDR form, or single addresses; throws `TypeError` for one that is neither. */
export function networksOf(texts: readonly string[]): Networks {
  const list = new BlockList()
  for (const text of texts) {
    const { address, family, prefix } = parseNetwork(text)
    list.addSubnet(address, prefix, family)
  }
  return {
    includes: (address) =>
      texts.length > 0 &&
      address !== null &&
      isIP(address) !== 0 &&
      list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6'),
  }
}

/** A network as it is kept, or a refusal that names it. */
export function acceptNetworks(texts: readonly string[]): string[] {
  return texts.map((text) => {
    try {
      const { address, prefix } = parseNetwork(text)
      return `${address}/${prefix}`
    } catch {
      throw new Problem(
        'network-invalid',
        `"${text.slice(0, 60)}" is no network. Write it as 203.0.113.0/24 or 2001:db8::/32.`,
      )
    }
  })
}

function parseNetwork(text: string) {
  const [address = '', size, more] = text.trim().split('/')
  const family = isIPv4(address) ? ('ipv4' as const) : ('ipv6' as const)
  const widest = family === 'ipv4' ? 32 : 128
  const prefix = size === undefined ? widest : /^\d{1,3}$/.test(size) ? Number(size) : -1
  if (isIP(address) === 0 || address.includes('%') || more !== undefined || prefix < 0 || prefix > widest) {
    throw new TypeError(`"${text}" is no network.`)
  }
  return { address, family, prefix }
}

/**
 * The address of the caller. Behind trusted proxies the last one that is not of them: what stands before it in
 * `X-Forwarded-For` was written by the caller.
 */
export function callerAddress(
  peer: string | undefined,
  forwarded: string | undefined,
  proxies: Networks,
): string | null {
  let address = plain(peer)
  const hops = (forwarded ?? '').split(',').map((hop) => plain(hop.trim()))
  while (proxies.includes(address) && hops.length > 0) {
    const hop = hops.pop()
    if (!hop) break
    address = hop
  }
  return address
}

/** What limits count by: an IPv4 address, or the network of 2^64 that whoever has one IPv6 address has. */
export function networkOf(address: string | null): string {
  if (address === null || isIPv4(address)) return address ?? ''
  const [head = '', tail] = address.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail ? tail.split(':') : []
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => '0')
  const groups = tail === undefined ? before : [...before, ...zeros, ...after]
  return groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')
}

/** IPv4 in the form that a listener on both families gives it, as IPv4. */
function plain(address: string | undefined): string | null {
  const text = address?.replace(/^::ffff:(?=\d+\.)/i, '') ?? ''
  return isIP(text) === 0 ? null : text
}
