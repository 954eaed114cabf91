import { secretForms } from './secret-forms.js'

const maskMarker = '***'
const marker = Buffer.from(maskMarker)

type Node = {
  next: Map<number, Node>
  fallback: Node
  depth: number
  longest: number
  /** Where every byte leads, for the few nodes at which nearly all bytes of ordinary output are met. */
  leads?: readonly Node[]
}

/** Bytes of a stream that belong to secrets, from the first that is held. */
type Span = { from: number; to: number }

/** A growing set of secrets. A stream opened before a secret was added keeps the set it was opened with. */
export class SecretSet {
  readonly #forms = new Map<string, Buffer>()
  #root: Node | undefined

  add(secret: string): void {
    for (const form of secretForms(secret)) this.#forms.set(form.toString('latin1'), form)
    this.#root = undefined
  }

  openStream(): MaskStream {
    this.#root ??= buildAutomaton([...this.#forms.values()])
    return new MaskStream(this.#root)
  }

  /** Masks a text that is complete, such as an error message or a file name. */
  maskText(text: string): string {
    const stream = this.openStream()
    return Buffer.concat([stream.write(Buffer.from(text, 'utf8')), stream.end()]).toString('utf8')
  }
}

/**
 * Replaces secrets in a byte stream, however it is cut into chunks. Only bytes that may still turn out to be the start of
 * a secret are held back. Secrets that touch or overlap become one marker, so the marker tells nothing about them.
 */
export class MaskStream {
  readonly #root: Node
  #state: Node
  #held: Buffer = Buffer.alloc(0)
  #spans: Span[] = []
  #insideMarker = false

  constructor(root: Node) {
    this.#root = root
    this.#state = root
  }

  write(chunk: Buffer): Buffer {
    const known = this.#held.length
    const bytes = known === 0 ? chunk : Buffer.concat([this.#held, chunk])
    const root = this.#root
    let state = this.#state
    for (let at = known; at < bytes.length; at++) {
      state = advance(root, state, bytes[at] ?? 0)
      if (state.longest > 0) this.#mark(at + 1 - state.longest, at + 1)
    }
    this.#state = state
    return this.#release(bytes, bytes.length - state.depth)
  }

  end(): Buffer {
    this.#state = this.#root
    return this.#release(this.#held, this.#held.length)
  }

  /** Spans come in the order of their ends; one that touches those before it becomes one with them. */
  #mark(from: number, to: number): void {
    let first = from
    for (let last = this.#spans.at(-1); last && last.to >= from; last = this.#spans.at(-1)) {
      first = Math.min(first, last.from)
      this.#spans.pop()
    }
    this.#spans.push({ from: first, to })
  }

  #release(bytes: Buffer, until: number): Buffer {
    const parts: Buffer[] = []
    let from = 0
    for (const span of this.#spans) {
      if (span.from >= until) break
      if (span.from > 0 || !this.#insideMarker) parts.push(bytes.subarray(from, span.from), marker)
      from = Math.min(span.to, until)
    }
    parts.push(bytes.subarray(from, until))
    if (until > 0) this.#insideMarker = from === until
    this.#spans = this.#spans
      .filter(({ to }) => to > until)
      .map((span) => ({ from: Math.max(span.from - until, 0), to: span.to - until }))
    this.#held = Buffer.from(bytes.subarray(until))
    return Buffer.concat(parts)
  }
}

function createNode(depth: number, root?: Node): Node {
  const node: Partial<Node> & Omit<Node, 'fallback'> = { next: new Map(), depth, longest: 0 }
  node.fallback = root ?? (node as Node)
  return node as Node
}

/** Aho-Corasick: one pass over the bytes finds every form of every secret. */
function buildAutomaton(forms: readonly Buffer[]): Node {
  const root = createNode(0)
  for (const form of forms) {
    let node = root
    for (const byte of form) {
      const next = node.next.get(byte) ?? createNode(node.depth + 1, root)
      node.next.set(byte, next)
      node = next
    }
    node.longest = form.length
  }
  const queue = [...root.next.values()]
  for (const node of queue) {
    for (const [byte, child] of node.next) {
      child.fallback = advance(root, node.fallback, byte)
      if (child.longest === 0) child.longest = child.fallback.longest
      queue.push(child)
    }
  }
  for (const node of [root, ...root.next.values()]) {
    node.leads = Array.from({ length: 256 }, (_, byte) => advance(root, node, byte))
  }
  return root
}

function advance(root: Node, from: Node, byte: number): Node {
  if (from.leads) return from.leads[byte] ?? root
  let node = from
  for (;;) {
    const next = node.next.get(byte)
    if (next !== undefined) return next
    if (node === root) return root
    node = node.fallback
  }
}
