import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import { createServer } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { connectOut } from './connect-out.js'
import type { HostPolicy } from './host-policy.js'
import { parseHostRule } from './host-policy.js'

let listener: Server
let port: number
let connections = 0

beforeAll(async () => {
  listener = createServer((socket) => {
    connections += 1
    socket.on('error', () => undefined).end('reached')
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  port = (listener.address() as AddressInfo).port
})
beforeEach(() => {
  connections = 0
})
afterAll(() => listener.close())

const policy = (allowed: string[], privateAllowed: string[] = []): HostPolicy => ({
  allowed: allowed.map((text) => parseHostRule(text)!),
  privateAllowed: privateAllowed.map((text) => parseHostRule(text)!),
  appHostsCount: true,
})
const answers = (...addresses: string[]) => {
  let calls = 0
  return Object.assign(
    () => Promise.resolve([{ address: addresses[Math.min(calls++, addresses.length - 1)] ?? '', family: 4 }]),
    { calls: () => calls },
  )
}

test('a host on the operator’s private list is reached in a private network', async () => {
  const socket = await connectOut(policy([], [`npm.intern:${port}`]), answers('127.0.0.1'), {
    host: 'npm.intern',
    port,
  })
  const [said] = (await once(socket, 'data')) as [Buffer]
  expect(said.toString()).toBe('reached')
  socket.destroy()
})

test.each(['127.0.0.1', '10.0.0.8', '::ffff:127.0.0.1', '64:ff9b::7f00:1', 'fd00::1', '169.254.169.254'])(
  'an allowed host that turns out to be %s is refused and not called',
  async (address) => {
    const call = connectOut(policy([`public.example:${port}`]), answers(address), { host: 'public.example', port })
    await expect(call).rejects.toMatchObject({
      name: 'Refused',
      message: expect.stringMatching(/^public\.example has/),
    })
    expect(connections).toBe(0)
  },
)

test('a host one of whose addresses is private is refused', async () => {
  const resolve = () =>
    Promise.resolve([
      { address: '203.0.113.9', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ])
  const call = connectOut(policy([`public.example:${port}`]), resolve, { host: 'public.example', port })
  await expect(call).rejects.toMatchObject({ name: 'Refused' })
})

test('metadata is refused even where private addresses are allowed', async () => {
  const call = connectOut(policy([], ['npm.intern:80']), answers('169.254.169.254'), { host: 'npm.intern', port: 80 })
  await expect(call).rejects.toMatchObject({ name: 'Refused' })
})

test('a name is looked up once: what it says later is not asked', async () => {
  const resolve = answers('127.0.0.1', '169.254.169.254')
  const socket = await connectOut(policy([], [`npm.intern:${port}`]), resolve, { host: 'npm.intern', port })
  expect(socket.remoteAddress).toBe('127.0.0.1')
  expect(resolve.calls()).toBe(1)
  socket.destroy()
})

test('a host that is not allowed is not even looked up', async () => {
  const resolve = answers('1.1.1.1')
  const call = connectOut(policy(['registry.example']), resolve, { host: 'evil.example', port: 443 })
  await expect(call).rejects.toMatchObject({ name: 'Refused', message: expect.stringContaining('EGRESS_HOSTS') })
  expect(resolve.calls()).toBe(0)
})

test('a host that does not answer is told apart from one that is refused', async () => {
  const dead = port === 1 ? 2 : 1
  const call = connectOut(policy([], [`npm.intern:${dead}`]), answers('127.0.0.1'), { host: 'npm.intern', port: dead })
  await expect(call).rejects.toMatchObject({ name: 'Error', message: `npm.intern:${dead} does not answer` })
})
