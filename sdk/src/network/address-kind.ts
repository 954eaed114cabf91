import { BlockList, isIP, isIPv4 } from 'node:net'

/**
 * `public`: routed on the internet. `private`: a network of the operator's own, which only the operator can open.
 * `forbidden`: nothing that a name given by somebody else may lead to, whoever allows it: link-local, clouds' metadata,
 * multicast, tunnels.
 */
export type AddressKind = 'public' | 'private' | 'forbidden'

const privateAddresses = new BlockList()
for (const [network, prefix] of [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
] as const) {
  privateAddresses.addSubnet(network, prefix, 'ipv4')
}

const forbiddenAddresses = new BlockList()
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['192.0.0.0', 24],
  ['192.88.99.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  // Metadata and wire services that clouds put outside the link-local range.
  ['100.100.100.200', 32],
  ['168.63.129.16', 32],
] as const) {
  forbiddenAddresses.addSubnet(network, prefix, 'ipv4')
}

/** Decides by the address's bytes: an IPv4 address inside an IPv6 one is judged as that IPv4 address. */
export function addressKind(address: string): AddressKind {
  if (isIP(address) === 0) return 'forbidden'
  if (isIPv4(address)) return ipv4Kind(address)
  const words = wordsOf(address)
  const [first = 0, second = 0] = words
  const embedded = ipv4Inside(words)
  if (embedded !== undefined) return ipv4Kind(embedded)
  if (startsWith(words, 0, 0, 0, 0, 0, 0, 0, 1)) return 'private'
  if (first === 0xfd_00 && second === 0x0e_c2) return 'forbidden'
  if ((first & 0xfe_00) === 0xfc_00) return 'private'
  const isTunnel = first === 0x20_02 || (first === 0x20_01 && second < 0x02_00)
  return (first & 0xe0_00) === 0x20_00 && !isTunnel ? 'public' : 'forbidden'
}

/**
 * The one spelling of an address to compare by: the IPv4 address inside an IPv6 one, else the eight words without a zone.
 * Text that is no address stays as it is.
 */
export function canonicalAddress(address: string): string {
  if (isIP(address) !== 6) return address
  const words = wordsOf(address)
  return ipv4Inside(words) ?? words.map((word) => word.toString(16)).join(':')
}

/** Of an IPv4-mapped address, and of what a translating resolver makes of an IPv4-only host. */
function ipv4Inside(words: readonly number[]): string | undefined {
  const isInside = startsWith(words, 0, 0, 0, 0, 0, 0xff_ff) || startsWith(words, 0x64, 0xff_9b, 0, 0, 0, 0)
  return isInside ? lastFourBytes(words) : undefined
}

const startsWith = (words: readonly number[], ...prefix: number[]) =>
  prefix.every((word, index) => words[index] === word)

function ipv4Kind(address: string): AddressKind {
  if (forbiddenAddresses.check(address, 'ipv4')) return 'forbidden'
  return privateAddresses.check(address, 'ipv4') ? 'private' : 'public'
}

const lastFourBytes = (words: readonly number[]) =>
  words
    .slice(6)
    .flatMap((word) => [word >> 8, word & 0xff])
    .join('.')

/** The eight words of an IPv6 address; `URL` brings every spelling into one, without IPv4 notation or zone. */
function wordsOf(address: string): number[] {
  const [bare = ''] = address.split('%')
  const [head = '', tail] = new URL(`http://[${bare}]`).hostname.slice(1, -1).split('::')
  const parse = (text: string) => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)))
  const left = parse(head)
  if (tail === undefined) return left
  const right = parse(tail)
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right]
}
