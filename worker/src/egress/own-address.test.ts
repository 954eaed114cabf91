import { once } from 'node:events'
import type * as Net from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import { createServer } from 'node:net'
import type * as Os from 'node:os'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { connectOut } from './connect-out.js'
import { parseHostRule } from './host-policy.js'

const called: unknown[] = []

// A machine with public addresses of its own, on which every call ends at the loopback.
vi.mock('node:os', async (importOriginal) => ({
  ...(await importOriginal<typeof Os>()),
  networkInterfaces: () => ({ eth0: [{ address: '203.0.113.7' }, { address: '2606:4700::7' }] }),
}))
vi.mock('node:net', async (importOriginal) => {
  const net = await importOriginal<typeof Net>()
  const connect = (options: { host: string; port: number }) => {
    called.push(options.host)
    return net.connect({ ...options, host: '127.0.0.1' })
  }
  return { ...net, connect }
})

let listener: Server
let port: number

beforeAll(async () => {
  listener = createServer((socket) => socket.on('error', () => undefined).end()).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  port = (listener.address() as AddressInfo).port
})
beforeEach(() => void called.splice(0))
afterAll(() => listener.close())

const call = (address: string) =>
  connectOut(
    { allowed: [parseHostRule(`public.example:${port}`)!], privateAllowed: [], appHostsCount: true },
    () => Promise.resolve([{ address, family: 6 }]),
    { host: 'public.example', port },
  )

test.each([
  '203.0.113.7',
  '::ffff:203.0.113.7',
  '::ffff:cb00:7107',
  '64:ff9b::203.0.113.7',
  '2606:4700::7',
  '2606:4700:0:0:0:0:0:7',
])('%s is the machine itself and is not called', async (address) => {
  await expect(call(address)).rejects.toMatchObject({ name: 'Refused' })
  expect(called).toEqual([])
})

test.each(['203.0.113.8', '::ffff:203.0.113.8', '64:ff9b::203.0.113.8', '2606:4700::8'])(
  '%s is another machine and is called',
  async (address) => {
    const socket = await call(address)
    expect(called).toEqual([address])
    socket.destroy()
  },
)
