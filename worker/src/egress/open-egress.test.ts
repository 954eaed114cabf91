import { PassThrough, Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { carry } from './open-egress.js'

const open = 1
const reset = 4

/** A frame that opens a connection. */
function openFrame(id: number): Buffer {
  const frame = Buffer.alloc(9)
  frame.writeUInt8(open, 0)
  frame.writeUInt32BE(id, 1)
  return frame
}

/** A relay that opens connections; it reads what it is sent only once `read` is called. */
function stoppedRelay() {
  const received: Buffer[] = []
  let reading = false
  let next: (() => void) | undefined
  const input = new Writable({
    write(chunk: Buffer, _encoding, done) {
      received.push(chunk)
      if (reading) setImmediate(done)
      else next = done
    },
  })
  input.on('error', () => undefined)
  const output = new PassThrough()
  input.on('close', () => output.destroy(input.errored ?? undefined))
  const read = () => {
    reading = true
    next?.()
  }
  const carried = carry({ input, output, close: () => output.destroy() }, () => undefined)
  const failed = carried.failed.catch((error: unknown) => error)
  return { input, output, read, received, carried, failed }
}

test('a relay that asks and does not read the answers is given up', async () => {
  const { input, output, failed, carried } = stoppedRelay()
  for (let id = 1; id <= 300_000 && !input.destroyed; id += 10_000) {
    output.write(Buffer.concat(Array.from({ length: 10_000 }, (_, index) => openFrame(id + index))))
    await new Promise(setImmediate)
  }
  expect(await failed).toMatchObject({ message: 'the relay does not read' })
  expect(input.destroyed).toBe(true)
  carried.close()
})

test('a relay that reads late gets every answer', async () => {
  const { input, output, read, received, carried, failed } = stoppedRelay()
  const refused = 2_000
  output.write(Buffer.concat(Array.from({ length: 256 + refused }, (_, index) => openFrame(index + 1))))
  await new Promise(setImmediate)
  expect(received).toHaveLength(1)
  read()
  await expect.poll(() => received.length).toBe(refused)
  expect(new Set(received.map((frame) => frame.readUInt8(0)))).toEqual(new Set([reset]))
  expect(input.destroyed).toBe(false)
  carried.close()
  await failed
})
