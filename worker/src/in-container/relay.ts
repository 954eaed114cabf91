// Runs inside the build container (`node --input-type=module -e <this> capstan-relay <port>`): carries TCP connections of
// the container's loopback over its own standard input and output to the worker, which decides where they may go. The
// worker imports `Carrier` for its end. One file, Node built-ins only.
import { createServer } from 'node:net'
import { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'

// A frame is a kind (1 byte), the number of a connection (4) and a length (4), followed by that many bytes.
const ready = 0
const open = 1
const bytes = 2
const end = 3
const reset = 4
const credit = 5

const headerBytes = 9
const frameBytes = 32 * 1024
/** What may be on its way in one direction of one connection before its reader has taken it. */
export const windowBytes = 128 * 1024
/** More connections than this at a time are closed at once. */
export const maxConnections = 256

type Send = (frame: Buffer, sent?: () => void) => void

export class ProtocolViolation extends Error {
  override name = 'ProtocolViolation'
}

function frameOf(kind: number, id: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const frame = Buffer.alloc(headerBytes + payload.length)
  frame.writeUInt8(kind, 0)
  frame.writeUInt32BE(id, 1)
  frame.writeUInt32BE(payload.length, 5)
  frame.set(payload, headerBytes)
  return frame
}

/** One connection: a duplex stream that sends no more than the other side said it has room for. */
class Connection extends Duplex {
  readonly #send: Send
  readonly #id: number
  readonly #forget: () => void
  #room = windowBytes
  #unread = 0
  #received = 0
  #waiting: { chunk: Buffer; done: (error?: Error | null) => void } | undefined

  constructor(id: number, send: Send, forget: () => void) {
    super({ allowHalfOpen: true, readableHighWaterMark: frameBytes, writableHighWaterMark: frameBytes })
    this.#id = id
    this.#send = send
    this.#forget = forget
    // Whoever uses the connection hears of its end; one that nobody uses any more has nothing to tell.
    this.on('error', () => undefined)
  }

  accept(kind: number, payload: Buffer): void {
    if (kind === end) this.push(null)
    else if (kind === reset) this.destroy(new Error('the other side closed the connection'))
    else if (kind === credit) this.#grow(payload)
    else if (kind === bytes) this.#take(payload)
    else throw new ProtocolViolation(`a connection has no frames of kind ${kind}`)
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#sendBytes(chunk, done)
  }

  #sendBytes(chunk: Buffer, done: (error?: Error | null) => void): void {
    const part = chunk.subarray(0, Math.min(this.#room, frameBytes))
    this.#room -= part.length
    if (part.length === chunk.length) {
      this.#send(frameOf(bytes, this.#id, part), () => done())
      return
    }
    if (part.length > 0) this.#send(frameOf(bytes, this.#id, part))
    this.#waiting = { chunk: chunk.subarray(part.length), done }
    if (this.#room > 0) this.#resumeWriting()
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#send(frameOf(end, this.#id))
    done()
  }

  override _read(): void {
    this.#grantCredit()
  }

  #grantCredit(): void {
    if (this.#unread === 0) return
    const taken = Buffer.alloc(4)
    taken.writeUInt32BE(this.#unread)
    this.#received -= this.#unread
    this.#unread = 0
    this.#send(frameOf(credit, this.#id, taken))
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // After an orderly end the other side may still have to read what it was sent.
    if (!this.readableEnded || !this.writableFinished) this.#send(frameOf(reset, this.#id))
    this.#waiting?.done(error ?? new Error('the connection is closed'))
    this.#forget()
    done(error)
  }

  #take(payload: Buffer): void {
    this.#received += payload.length
    if (this.#received > windowBytes) throw new ProtocolViolation('more bytes than there is room for')
    this.#unread += payload.length
    if (this.readableEnded || this.destroyed) return
    if (this.push(Buffer.from(payload))) this.#grantCredit()
  }

  #grow(payload: Buffer): void {
    if (payload.length !== 4) throw new ProtocolViolation('a credit has four bytes')
    this.#room += payload.readUInt32BE()
    if (this.#room > windowBytes) throw new ProtocolViolation('more credit than was taken')
    this.#resumeWriting()
  }

  #resumeWriting(): void {
    const waiting = this.#waiting
    this.#waiting = undefined
    if (waiting) this.#sendBytes(waiting.chunk, waiting.done)
  }
}

export type CarrierOptions = {
  send: Send
  /** A connection that the other side opened; without this, the other side may open none. */
  onConnection?: (connection: Duplex) => void
  onReady?: () => void
}

/** Both ends of the relay: many connections over one pair of pipes. What it receives is not trusted. */
export class Carrier {
  readonly #options: CarrierOptions
  readonly #connections = new Map<number, Connection>()
  #received: Buffer = Buffer.alloc(0)
  #lastId = 0

  constructor(options: CarrierOptions) {
    this.#options = options
  }

  get connections(): number {
    return this.#connections.size
  }

  sayReady(): void {
    this.#options.send(frameOf(ready, 0))
  }

  connect(): Duplex {
    this.#lastId += 1
    const connection = this.#add(this.#lastId)
    this.#options.send(frameOf(open, this.#lastId))
    return connection
  }

  receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    while (this.#received.length >= headerBytes) {
      const length = this.#received.readUInt32BE(5)
      if (length > frameBytes) throw new ProtocolViolation('a frame is too long')
      if (this.#received.length < headerBytes + length) return
      const frame = this.#received.subarray(0, headerBytes + length)
      this.#received = this.#received.subarray(headerBytes + length)
      this.#accept(frame.readUInt8(0), frame.readUInt32BE(1), frame.subarray(headerBytes))
    }
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.destroy()
  }

  #accept(kind: number, id: number, payload: Buffer): void {
    if (kind === ready) this.#options.onReady?.()
    else if (kind === open) this.#admit(id)
    // A connection that was closed here may still be spoken to by a side that does not know it yet.
    else this.#connections.get(id)?.accept(kind, payload)
  }

  #admit(id: number): void {
    const { onConnection, send } = this.#options
    if (onConnection === undefined || this.#connections.has(id)) throw new ProtocolViolation('an unexpected connection')
    if (this.#connections.size < maxConnections) onConnection(this.#add(id))
    else send(frameOf(reset, id))
  }

  #add(id: number): Connection {
    const connection = new Connection(id, this.#options.send, () => this.#connections.delete(id))
    this.#connections.set(id, connection)
    return connection
  }
}

function relay(port: number): void {
  const send: Send = (frame, sent) => void process.stdout.write(frame, () => sent?.())
  const carrier = new Carrier({ send })
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    if (carrier.connections >= maxConnections) {
      socket.destroy()
      return
    }
    const connection = carrier.connect()
    // Either side may go away at any time; the other one is then closed by the pipeline.
    for (const way of [pipeline(socket, connection), pipeline(connection, socket)]) way.catch(() => undefined)
  })
  // The relay of an earlier phase may not be gone yet; the worker gives up in its own time.
  server.on('error', () => setTimeout(() => server.listen(port, '127.0.0.1'), 50))
  server.on('listening', () => carrier.sayReady())
  server.listen(port, '127.0.0.1')
  process.stdin.on('data', (chunk: Buffer) => carrier.receive(chunk))
  for (const event of ['end', 'close', 'error']) process.stdin.on(event, () => process.exit(0))
  process.stdout.on('error', () => process.exit(0))
}

const [, name, port] = process.argv
if (name === 'capstan-relay') relay(Number(port))
