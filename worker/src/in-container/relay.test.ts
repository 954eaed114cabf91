import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { expect, test } from 'vitest'
import { Carrier, ProtocolViolation, maxConnections, windowBytes } from './relay.js'

/** Two carriers whose pipes deliver in pieces of odd sizes. */
function connectedPair(onConnection: (connection: Duplex) => void) {
  const pipe = (receive: (chunk: Buffer) => void) => {
    const stream = new PassThrough()
    stream.on('data', (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 7_001) receive(chunk.subarray(at, at + 7_001))
    })
    return (frame: Buffer, sent?: () => void) => void stream.write(frame, () => sent?.())
  }
  let toWorker: (chunk: Buffer) => void
  const inside = new Carrier({ send: pipe((chunk) => toWorker(chunk)) })
  const worker = new Carrier({ send: pipe((chunk) => inside.receive(chunk)), onConnection })
  toWorker = (chunk) => worker.receive(chunk)
  return { inside, worker }
}

function frame(kind: number, id: number, payload = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(9)
  header.writeUInt8(kind, 0)
  header.writeUInt32BE(id, 1)
  header.writeUInt32BE(payload.length, 5)
  return Buffer.concat([header, payload])
}

function connectionAt(taken: readonly Duplex[], index: number): Duplex {
  const connection = taken[index]
  if (connection === undefined) throw new Error('the connection has not arrived')
  return connection
}

const open = 1
const bytes = 2
const credit = 5

test('many connections carry megabytes both ways at once, whole and in order', async () => {
  const { inside, worker } = connectedPair((connection) => void pipeline(connection, connection))
  const sent = Array.from({ length: 20 }, () => randomBytes(1_500_000))
  const echoed = await Promise.all(
    sent.map(async (content) => {
      const connection = inside.connect()
      const [received] = await Promise.all([
        buffer(connection),
        pipeline(async function* () {
          for (let at = 0; at < content.length; at += 100_000) yield content.subarray(at, at + 100_000)
        }, connection),
      ])
      return received
    }),
  )
  echoed.forEach((content, index) => expect(content.equals(sent[index] ?? Buffer.alloc(0))).toBe(true))
  await expect.poll(() => [inside.connections, worker.connections]).toEqual([0, 0])
})

test('a reader that does not read stops its own connection and no other', async () => {
  const taken: Duplex[] = []
  const { inside } = connectedPair((connection) => void taken.push(connection))
  const stuck = inside.connect()
  let written = 0
  const chunk = Buffer.alloc(16_384)
  const push = () =>
    void (written < 4 * windowBytes && stuck.write(chunk, (error) => error ?? ((written += chunk.length), push())))
  push()
  await expect.poll(() => taken.length).toBe(1)
  const lively = inside.connect()
  lively.end('passes')
  await expect.poll(() => taken.length).toBe(2)
  expect((await buffer(connectionAt(taken, 1))).toString()).toBe('passes')
  expect(written).toBeLessThanOrEqual(windowBytes + 64 * 1024)
  connectionAt(taken, 0).resume()
  await expect.poll(() => written).toBeGreaterThan(3 * windowBytes)
  stuck.destroy()
})

test('what was sent before an orderly end is read, however late', async () => {
  const taken: Duplex[] = []
  const { inside } = connectedPair((connection) => void taken.push(connection.end()))
  const connection = inside.connect()
  connection.end(Buffer.alloc(100_000, 'x'))
  connection.resume()
  await expect.poll(() => inside.connections).toBe(0)
  expect(await buffer(connectionAt(taken, 0))).toHaveLength(100_000)
})

test('a connection that breaks on one side is closed on the other', async () => {
  const taken: Duplex[] = []
  const { inside, worker } = connectedPair((connection) => void taken.push(connection))
  const connection = inside.connect()
  await expect.poll(() => taken.length).toBe(1)
  connection.destroy()
  await expect.poll(() => connectionAt(taken, 0).destroyed).toBe(true)
  expect([inside.connections, worker.connections]).toEqual([0, 0])
})

test('no more connections are held than the limit', () => {
  const taken: Duplex[] = []
  const resets: number[] = []
  const carrier = new Carrier({
    send: (sent) => void resets.push(sent.readUInt8(0)),
    onConnection: (connection) => void taken.push(connection),
  })
  for (let id = 1; id <= maxConnections + 10; id++) carrier.receive(frame(open, id))
  expect(taken).toHaveLength(maxConnections)
  expect(resets).toEqual(Array.from({ length: 10 }, () => 4))
})

test.each([
  ['a frame longer than any', frame(bytes, 1, Buffer.alloc(32 * 1024 + 1))],
  ['more bytes than there is room for', Buffer.concat(Array(5).fill(frame(bytes, 1, Buffer.alloc(32 * 1024))))],
  ['credit for what was never sent', frame(credit, 1, Buffer.from([0, 0, 0, 1]))],
  ['credit of an odd size', frame(credit, 1, Buffer.from([1]))],
  ['a connection twice', frame(open, 1)],
  ['a frame of no kind', frame(9, 1)],
])('%s ends the carrier', (_, received) => {
  const carrier = new Carrier({ send: () => undefined, onConnection: () => undefined })
  carrier.receive(frame(open, 1))
  expect(() => carrier.receive(received)).toThrow(ProtocolViolation)
})

test('the container’s end takes no connection', () => {
  const carrier = new Carrier({ send: () => undefined })
  expect(() => carrier.receive(frame(open, 1))).toThrow(ProtocolViolation)
})
