import { secretForms } from './secret-forms.js'

const maskMarker = '***'
const marker = Buffer.from(maskMarker)

type Node = { next: Map<number, Node>; fallback: Node; depth: number; longest: number }

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
  #secret: boolean[] = []
  #insideMarker = false

  constructor(root: Node) {
    this.#root = root
    this.#state = root
  }

  write(chunk: Buffer): Buffer {
    const known = this.#held.length
    const bytes = Buffer.concat([this.#held, chunk])
    const secret = this.#secret
    for (let at = known; at < bytes.length; at++) {
      this.#state = advance(this.#root, this.#state, bytes[at] ?? 0)
      secret.push(false)
      if (this.#state.longest > 0) secret.fill(true, at + 1 - this.#state.longest, at + 1)
    }
    return this.#release(bytes, bytes.length - this.#state.depth)
  }

  end(): Buffer {
    this.#state = this.#root
    return this.#release(this.#held, this.#held.length)
  }

  #release(bytes: Buffer, until: number): Buffer {
    const parts: Buffer[] = []
    let from = 0
    for (let at = 0; at < until; at++) {
      const isSecret = this.#secret[at] === true
      if (isSecret === this.#insideMarker) continue
      if (isSecret) parts.push(bytes.subarray(from, at), marker)
      this.#insideMarker = isSecret
      from = at
    }
    if (!this.#insideMarker) parts.push(bytes.subarray(from, until))
    this.#held = Buffer.from(bytes.subarray(until))
    this.#secret = this.#secret.slice(until)
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
  return root
}

function advance(root: Node, from: Node, byte: number): Node {
  let node = from
  for (;;) {
    const next = node.next.get(byte)
    if (next !== undefined) return next
    if (node === root) return root
    node = node.fallback
  }
}
