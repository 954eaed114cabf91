import { once } from 'node:events'
import type { Server as HttpServer } from 'node:http'
import { Agent, createServer as createHttpServer, get } from 'node:http'
import type { AddressInfo, Server, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { EgressProxy } from './egress-proxy.js'
import { createEgressProxy } from './egress-proxy.js'
import { parseHostRule } from './host-policy.js'

let registry: HttpServer
let door: Server
let proxy: EgressProxy
let port: number
/** Nothing listens there, and the system gives it to nobody. */
const deadPort = 1
const served: string[] = []

const portOf = (server: Server) => (server.address() as AddressInfo).port

beforeAll(async () => {
  registry = createHttpServer((request, response) => {
    served.push(request.url ?? '')
    response.end('here')
  }).listen(0, '127.0.0.1')
  door = createServer({ allowHalfOpen: true }, (socket) => proxy.serve(socket)).listen(0, '127.0.0.1')
  await Promise.all([registry, door].map((server) => once(server, 'listening')))
  port = portOf(registry)
})
beforeEach(() => {
  served.splice(0)
  proxy = createEgressProxy({
    policy: {
      allowed: [],
      privateAllowed: [port, deadPort].map((each) => parseHostRule(`registry.test:${each}`)!),
      appHostsCount: true,
    },
    resolve: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]),
    onContact: () => undefined,
    onTraffic: () => undefined,
  })
})
afterAll(() => {
  registry.close()
  door.close()
})

const plain = (path: string) => `GET http://registry.test:${port}${path} HTTP/1.1\r\nhost: registry.test\r\n\r\n`

/** The answers to requests that are sent at once over one connection. */
async function statusesOf(...paths: string[]): Promise<string[]> {
  const client = connect(portOf(door), '127.0.0.1')
  client.write(paths.map(plain).join(''))
  const statuses: string[] = []
  let said = ''
  for await (const chunk of client) {
    said += String(chunk)
    statuses.splice(0, Infinity, ...[...said.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status ?? ''))
    if (statuses.length >= paths.length) break
  }
  return statuses
}

async function tunnel(to: number): Promise<{ client: Socket; status: string }> {
  const client = connect(portOf(door), '127.0.0.1')
  client.on('error', () => undefined)
  client.write(`CONNECT registry.test:${to} HTTP/1.1\r\nhost: registry.test\r\n\r\n`)
  const [said] = (await once(client, 'data')) as [Buffer]
  return { client, status: said.toString('latin1').slice(9, 12) }
}

test('of requests sent at once over one connection, one is called out for', async () => {
  const statuses = await statusesOf('/a', '/b', '/c', '/d')
  expect(statuses).toEqual(['200', '503', '503', '503'])
  expect(served).toEqual(['/a'])
})

test('requests over connections of their own are all called out for', async () => {
  const statuses = await Promise.all(['/a', '/b', '/c', '/d'].map((path) => statusesOf(path)))
  expect(statuses.flat()).toEqual(Array(4).fill('200'))
  expect(served.sort()).toEqual(['/a', '/b', '/c', '/d'])
})

test('a client that keeps connections alive connects anew for its next request', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const ask = (path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const options = { agent, host: '127.0.0.1', port: portOf(door), path: `http://registry.test:${port}${path}` }
      get(options, (response) => {
        response.on('end', () => resolve(response.statusCode)).resume()
      }).on('error', reject)
    })
  expect(await Promise.all(['/a', '/b', '/c'].map(ask))).toEqual([200, 200, 200])
  agent.destroy()
})

test('no more than 256 calls are open at a time; one that failed or ended makes room', async () => {
  const failed = await Promise.all(Array.from({ length: 256 }, () => tunnel(deadPort)))
  expect(new Set(failed.map(({ status }) => status))).toEqual(new Set(['502']))
  const opened = await Promise.all(Array.from({ length: 256 }, () => tunnel(port)))
  expect(new Set(opened.map(({ status }) => status))).toEqual(new Set(['200']))
  expect((await tunnel(port)).status).toBe('503')
  expect(await statusesOf('/a')).toEqual(['503'])
  opened[0]?.client.destroy()
  await expect.poll(() => statusesOf('/a')).toEqual(['200'])
  for (const { client } of opened) client.destroy()
})
