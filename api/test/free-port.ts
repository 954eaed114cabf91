import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

const handedOut = new Set<number>()
const range = 10_000 + (Number(process.env['VITEST_POOL_ID'] ?? 0) % 8) * 1_000

/**
 * For a program that must be told its port. It lies below those that the system gives to connections and to who asks for
 * any, in a range of this test process alone: nobody takes it before the program does, or while that is down.
 */
export async function freePort(): Promise<number> {
  const port = randomInt(range, range + 1_000)
  if (handedOut.has(port) || !(await isFree(port))) return freePort()
  handedOut.add(port)
  return port
}

function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
