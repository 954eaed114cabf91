import { execFile, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { checkOutboundUrl } from '../src/outbound/check-outbound-url.js'
import { createOutbound, type OutboundRules } from '../src/outbound/create-outbound.js'

let server: Server
let port: number
let asked: string[] = []
let answer: RequestListener

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
beforeEach(() => {
  asked = []
  answer = (_request, response) => response.setHeader('content-type', 'text/plain').end('reached')
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

const leadsTo = (...addresses: string[]) => {
  const given = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  return () => Promise.resolve(given)
}
/** `intern.example` is named by the operator, and leads here. */
const outbound = (rules: Partial<OutboundRules> = {}) =>
  createOutbound({ privateHosts: [`intern.example:${port}`], resolve: leadsTo('127.0.0.1'), ...rules })
const here = (path = '/') => `http://intern.example:${port}${path}`

test('a host that the operator named is called in a private network, and its answer handed on', async () => {
  answer = (request, response) => {
    request.pipe(response.writeHead(201, { 'content-type': 'application/json' }))
  }
  const reply = await outbound()(here('/hook?a=1'), { method: 'POST', body: '{"a":1}' })
  expect([reply.status, reply.headers.get('content-type'), await reply.json()]).toEqual([
    201,
    'application/json',
    { a: 1 },
  ])
  expect(asked).toEqual(['POST /hook?a=1'])
})

/** D08: how loopback and metadata can be written. */
const literals = [
  '127.0.0.1',
  '0x7f.1',
  '2130706433',
  '017700000001',
  '[::1]',
  '[::ffff:a9fe:a9fe]',
  '[::ffff:127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[2002:7f00:1::1]',
  '169.254.169.254.',
  '169.254.169.254',
  '10.0.0.1',
  '0',
  '100.64.0.1',
  'localhost',
  'metadata.internal',
]
const others = [
  'file:///etc/passwd',
  'gopher://127.0.0.1/',
  String.raw`http:\\127.0.0.1`,
  'https://①②⑦.0.0.1/',
  'http://public.example/',
  'https://user:secret@public.example/',
  'https://public.example:8443/',
]

describe('an address that is written by somebody else (D08)', () => {
  test.each([...literals.map((host) => `https://${host}/`), ...others])('%s is refused when it is named', (address) => {
    expect(() => checkOutboundUrl(address, [])).toThrow(/This address is not called: /)
  })

  test.each([...literals.flatMap((host) => [`https://${host}:${port}/`, `http://${host}/`]), ...others])(
    '%s is not called when it is there all the same',
    async (address) => {
      const call = outbound({ privateHosts: [] })(address)
      await expect(call).rejects.toThrow()
      expect(asked).toEqual([])
    },
  )

  test.each(['https://public.example/hook', 'https://hooks.example.com:443/a?b=c'])('%s may be named', (address) => {
    expect(checkOutboundUrl(address, []).href).toBe(new URL(address).href)
  })

  test('a literal that the operator named may be called, metadata not even then', async () => {
    const reply = await outbound({ privateHosts: ['127.0.0.1'] })(`http://127.0.0.1:${port}/`)
    expect(await reply.text()).toBe('reached')
    const metadata = outbound({ privateHosts: ['169.254.169.254'] })('http://169.254.169.254/latest/')
    await expect(metadata).rejects.toMatchObject({ code: 'address-refused' })
  })
})

describe('where a name leads (D09)', () => {
  test.each([
    '127.0.0.1',
    '10.1.2.3',
    '192.168.0.1',
    '100.64.1.1',
    '169.254.169.254',
    '::1',
    'fd00::1',
    'fe80::1',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::1',
  ])('a public name that leads to %s is not called', async (address) => {
    const call = outbound({ resolve: leadsTo(address) })('https://public.example/')
    await expect(call).rejects.toMatchObject({ code: 'address-refused' })
  })

  test('one private address among public ones is enough', async () => {
    const call = outbound({ resolve: leadsTo('203.0.113.9', '127.0.0.1') })('https://public.example/')
    await expect(call).rejects.toMatchObject({ code: 'address-refused' })
  })

  test('a named host that leads to metadata is not called', async () => {
    const call = outbound({ resolve: leadsTo('169.254.169.254') })(here())
    await expect(call).rejects.toMatchObject({ code: 'address-refused' })
  })

  test('a name is looked up once for a call: the connection goes to the address that was judged', async () => {
    const answers = ['127.0.0.1', '169.254.169.254']
    let lookups = 0
    const resolve = () => Promise.resolve([{ address: answers[lookups++] ?? '', family: 4 }])
    const call = outbound({ resolve })
    expect(await (await call(here())).text()).toBe('reached')
    expect(lookups).toBe(1)
    // The next call looks it up again, and judges again.
    await expect(call(here())).rejects.toMatchObject({ code: 'address-refused' })
    expect(asked).toHaveLength(1)
  })

  test.each([301, 302, 303, 307, 308])('an answer %i to a private address is not followed', async (status) => {
    let canaries = 0
    const canary = createTcpServer((socket) => {
      canaries += 1
      socket.destroy()
    }).listen(0, '127.0.0.1')
    await once(canary, 'listening')
    const location = `http://127.0.0.1:${(canary.address() as AddressInfo).port}/latest/meta-data`
    answer = (_request, response) => response.writeHead(status, { location }).end()
    await expect(outbound()(here('/hook'))).rejects.toMatchObject({ code: 'redirect-refused' })
    expect(asked).toEqual(['GET /hook'])
    expect(canaries).toBe(0)
    canary.close()
  })
})

describe('an answer has an end', () => {
  test('one larger than the limit is dropped, one of just that size is taken', async () => {
    answer = (request, response) => response.end(Buffer.alloc(request.url === '/just' ? 65_536 : 65_537))
    expect((await (await outbound()(here('/just'))).arrayBuffer()).byteLength).toBe(65_536)
    await expect(outbound()(here('/more'))).rejects.toMatchObject({ code: 'response-too-large' })
  })

  test.each([
    ['never begins', undefined],
    ['never ends', 'a'],
  ])('one that %s is given up', async (_what, first) => {
    answer = (_request, response) => void (first && response.write(first))
    await expect(outbound({ timeoutMs: 300 })(here())).rejects.toMatchObject({ code: 'timed-out' })
  })

  test('a name that is never found is given up', async () => {
    const resolve = () => new Promise<never>(() => undefined)
    await expect(outbound({ timeoutMs: 100, resolve })(here())).rejects.toMatchObject({ code: 'timed-out' })
  })

  test('a host that does not listen is told apart', async () => {
    const call = createOutbound({ privateHosts: ['127.0.0.1'] })('http://127.0.0.1:1/')
    await expect(call).rejects.toMatchObject({ code: 'unreachable', message: expect.stringContaining('ECONNREFUSED') })
  })
})

describe('TLS', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'capstan-outbound-'))
    const subject = ['-subj', '/CN=intern', '-addext', 'subjectAltName=DNS:intern.example']
    const out = ['-out', join(folder, 'cert.pem'), '-keyout', join(folder, 'key.pem')]
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
    execFileSync('openssl', ['req', '-x509', ...kind, ...subject, ...out], { stdio: 'ignore' })
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** In a process of its own, because Node reads `NODE_EXTRA_CA_CERTS` when it starts. */
  async function callFromOwnProcess(host: string, tlsPort: number, env: Record<string, string>): Promise<string> {
    const entry = new URL('../dist/outbound/create-outbound.js', import.meta.url).href
    const script = `
      const { createOutbound } = await import(${JSON.stringify(entry)})
      const [host, port] = process.argv.slice(1)
      const resolve = async () => [{ address: '127.0.0.1', family: 4 }]
      await createOutbound({ privateHosts: [host], resolve })('https://' + host + ':' + port).then(
        async (reply) => console.log(reply.status, await reply.text()),
        (error) => console.log(error.code, error.message),
      )`
    const args = ['--input-type=module', '-e', script, host, String(tlsPort)]
    const { stdout } = await promisify(execFile)(process.execPath, args, { env: { PATH: process.env.PATH, ...env } })
    return stdout.trim()
  }

  test('a certificate counts by the authorities that the operator added, and for its own name only', async () => {
    const [cert, key] = ['cert.pem', 'key.pem'].map((name) => readFileSync(join(folder, name)))
    const tls = createTlsServer({ cert, key }, (_request, response) => response.end('over TLS')).listen(0, '127.0.0.1')
    await once(tls, 'listening')
    const tlsPort = (tls.address() as AddressInfo).port
    const added = { NODE_EXTRA_CA_CERTS: join(folder, 'cert.pem') }
    expect(await callFromOwnProcess('intern.example', tlsPort, added)).toBe('200 over TLS')
    expect(await callFromOwnProcess('intern.example', tlsPort, {})).toMatch(/^unreachable .*SELF_SIGNED_CERT/)
    expect(await callFromOwnProcess('other.example', tlsPort, added)).toMatch(/^unreachable .*ERR_TLS_CERT_ALTNAME/)
    const careless = { NODE_TLS_REJECT_UNAUTHORIZED: '0' }
    expect(await callFromOwnProcess('intern.example', tlsPort, careless)).toMatch(/^unreachable /)
    tls.closeAllConnections()
    tls.close()
  })
})
