/** One element of BER: DER plus the indefinite lengths and split strings that Keychain and NSS write. */
export type BerNode = {
  /** First identifier octet: class, constructed bit and number. */
  tag: number
  /** Content of a primitive element; empty when constructed. */
  content: Buffer
  children: readonly BerNode[]
  /** The element as it stands in the file. */
  raw: Buffer
}

export class BerError extends Error {
  override name = 'BerError' as const
}

export const BerTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
} as const

const MAX_DEPTH = 32
const MAX_NODES = 20_000
const CONSTRUCTED = 0x20

/** Reads one element that fills `bytes` exactly. Throws `BerError`; depth and number of elements are limited. */
export function readBer(bytes: Buffer): BerNode {
  const budget = { nodes: MAX_NODES }
  const { node, end } = readNode(bytes, 0, 0, budget)
  if (end !== bytes.length) throw new BerError('bytes are left over')
  return node
}

type Budget = { nodes: number }

function readNode(bytes: Buffer, start: number, depth: number, budget: Budget): { node: BerNode; end: number } {
  budget.nodes -= 1
  if (depth > MAX_DEPTH || budget.nodes < 0) throw new BerError('nested too deeply')
  const tag = octet(bytes, start)
  if ((tag & 0x1f) === 0x1f) throw new BerError('long tags are not used here')
  const { length, offset } = readLength(bytes, start + 1)
  if (length === null) {
    if ((tag & CONSTRUCTED) === 0) throw new BerError('primitive of indefinite length')
    const { children, end } = readUntilMark(bytes, offset, depth + 1, budget)
    return { node: { tag, content: EMPTY, children, raw: bytes.subarray(start, end) }, end }
  }
  const end = offset + length
  if (end > bytes.length) throw new BerError('cut short')
  const raw = bytes.subarray(start, end)
  if ((tag & CONSTRUCTED) === 0) return { node: { tag, content: bytes.subarray(offset, end), children: [], raw }, end }
  const children: BerNode[] = []
  const inner = bytes.subarray(0, end)
  for (let at = offset; at < end;) {
    const child = readNode(inner, at, depth + 1, budget)
    children.push(child.node)
    at = child.end
  }
  return { node: { tag, content: EMPTY, children, raw }, end }
}

const EMPTY = Buffer.alloc(0)

function readUntilMark(bytes: Buffer, start: number, depth: number, budget: Budget) {
  const children: BerNode[] = []
  let at = start
  while (octet(bytes, at) !== 0 || octet(bytes, at + 1) !== 0) {
    const child = readNode(bytes, at, depth, budget)
    children.push(child.node)
    at = child.end
  }
  return { children, end: at + 2 }
}

function readLength(bytes: Buffer, at: number): { length: number | null; offset: number } {
  const first = octet(bytes, at)
  if (first === 0x80) return { length: null, offset: at + 1 }
  if (first < 0x80) return { length: first, offset: at + 1 }
  const count = first & 0x7f
  if (count > 4 || at + 1 + count > bytes.length) throw new BerError('length out of range')
  return { length: bytes.readUIntBE(at + 1, count), offset: at + 1 + count }
}

function octet(bytes: Buffer, at: number): number {
  const value = bytes[at]
  if (value === undefined) throw new BerError('cut short')
  return value
}

/** Element `index` of a constructed one. */
export function childAt({ children }: BerNode, index: number): BerNode {
  const child = children[index]
  if (child === undefined) throw new BerError('an element is missing')
  return child
}

export function expectTag(node: BerNode, tag: number): BerNode {
  if (node.tag !== tag) throw new BerError('another element was expected')
  return node
}

/** Dotted form of an object identifier. */
export function readOid(node: BerNode): string {
  const { content } = expectTag(node, BerTag.oid)
  const arcs: bigint[] = []
  let value = 0n
  for (const byte of content) {
    value = (value << 7n) | BigInt(byte & 0x7f)
    if (value > 0xffff_ffff_ffff_ffffn) throw new BerError('an identifier is too long')
    if ((byte & 0x80) === 0) {
      arcs.push(value)
      value = 0n
    }
  }
  const [first = 0n, ...rest] = arcs
  const root = first >= 80n ? 2n : first / 40n
  return [root, first - root * 40n, ...rest].join('.')
}

/** A small non-negative integer; `Infinity` for what does not fit into 48 bits or is negative. */
export function readInteger(node: BerNode): number {
  const { content } = expectTag(node, BerTag.integer)
  const start = content[0] === 0 && content.length > 1 ? 1 : 0
  if (content.length === 0) throw new BerError('an empty number')
  if (((content[0] ?? 0) & 0x80) !== 0 || content.length - start > 6) return Infinity
  return content.readUIntBE(start, content.length - start)
}

/** Octets of a string, also when it is split into parts. `implicit` also takes a context-specific tag in its place. */
export function readOctets(node: BerNode): Buffer {
  if ((node.tag & CONSTRUCTED) === 0) return node.content
  return Buffer.concat(node.children.map(readOctets))
}
