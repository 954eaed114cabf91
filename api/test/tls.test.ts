import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type ConnectionOptions, type SecureVersion, type TLSSocket } from 'node:tls'
import type { ServerType } from '@hono/node-server'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApp } from '../src/app.js'
import { networksOf } from '../src/auth/client-address.js'
import { ApiConfig } from '../src/config.js'
import { serveApp } from '../src/serve-app.js'
import { judgeTransport } from '../src/transport/guard-transport.js'
import { readCertificate } from '../src/transport/read-certificate.js'
import { renewCertificate } from '../src/transport/renew-certificate.js'
import { createFixture, type Fixture } from './fixture.js'

let fixture: Fixture
let folder: string
let server: ServerType
let port: number
const files = () => ({ certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') })

beforeAll(async () => {
  fixture = await createFixture()
  folder = mkdtempSync(join(tmpdir(), 'capstan-tls-'))
  makeCertificate('cert.pem', 'key.pem', 'first')
  server = await serveApp(createApp(fixture.deps), {
    host: '127.0.0.1',
    port: 0,
    tls: readCertificate(files()),
    guard: fixture.deps,
  })
  port = portOf(server)
})
afterAll(async () => {
  await stop(server)
  rmSync(folder, { recursive: true, force: true })
  await fixture[Symbol.asyncDispose]()
})

const portOf = (of: ServerType) => (of.address() as AddressInfo).port
const stop = (of: ServerType) =>
  new Promise<void>((resolve) => {
    of.close(() => resolve())
    if ('closeAllConnections' in of) of.closeAllConnections()
  })

function makeCertificate(cert: string, key: string, name: string): void {
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const out = ['-out', join(folder, cert), '-keyout', join(folder, key)]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', '-x509', ...kind, ...subject, ...out], { stdio: 'ignore' })
}

function handshake(version: SecureVersion, more: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const ca = readFileSync(files().certFile)
    const versions = { minVersion: version, maxVersion: version }
    const socket = connect({ host: '127.0.0.1', port, ca, ...versions, ...more }, () => resolve(socket))
    socket.once('error', reject)
  })
}

type Got = { status: number; headers: Record<string, string | string[] | undefined>; body: string }
function get(url: string, headers: Record<string, string> = {}): Promise<Got> {
  const ca = readFileSync(files().certFile)
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https') ? httpsRequest : httpRequest)(url, { headers, ca }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    request.on('error', reject).end()
  })
}

describe('the listener', () => {
  test.each<SecureVersion>(['TLSv1.2', 'TLSv1.3'])('speaks %s with forward secrecy', async (version) => {
    const socket = await handshake(version)
    expect(socket.getProtocol()).toBe(version)
    expect(socket.getCipher().name).toMatch(/^(TLS_|ECDHE-)/)
    socket.destroy()
  })

  test.each<SecureVersion>(['TLSv1', 'TLSv1.1'])('refuses %s itself', async (version) => {
    await expect(handshake(version, { ciphers: 'DEFAULT@SECLEVEL=0' })).rejects.toMatchObject({
      code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    })
  })

  test('refuses a cipher without forward secrecy', async () => {
    await expect(handshake('TLSv1.2', { ciphers: 'AES128-SHA' })).rejects.toMatchObject({
      code: expect.stringContaining('HANDSHAKE_FAILURE'),
    })
  })

  test('tells browsers to stay with https, on answers and on refusals', async () => {
    for (const path of ['/problems/not-found', '/nothing', '/v1/users/me', '/login/device']) {
      const { headers } = await get(`https://127.0.0.1:${port}${path}`)
      expect([path, headers['strict-transport-security']]).toEqual([path, 'max-age=31536000'])
    }
  })

  test('does not answer plain http at its port', async () => {
    await expect(get(`http://127.0.0.1:${port}/health`)).rejects.toThrow(/hang up|ECONNRESET|Parse Error/)
  })

  test('takes a renewed certificate without a restart, and not a pair that does not fit', async () => {
    const stopping = new AbortController()
    renewCertificate(server, files(), { log: fixture.deps.log, everyMs: 20, signal: stopping.signal })
    const name = async () => {
      const socket = await handshake('TLSv1.3', { rejectUnauthorized: false })
      const { CN } = socket.getPeerCertificate().subject
      socket.destroy()
      return CN
    }
    makeCertificate('cert2.pem', 'key2.pem', 'second')
    copyFileSync(join(folder, 'cert2.pem'), files().certFile)
    await sleep(100)
    expect(await name()).toBe('first')
    copyFileSync(join(folder, 'key2.pem'), files().keyFile)
    await expect.poll(name).toBe('second')
    stopping.abort()
  })
})

describe('a request in clear', () => {
  const proxies = networksOf(['10.0.0.0/8', '2001:db8::/32'])
  const judge = (peer: string, forwardedProto?: string) =>
    judgeTransport({ encrypted: false, peer, forwardedProto }, proxies)

  test.each([
    ['127.0.0.1', undefined, 'local'],
    ['::1', undefined, 'local'],
    ['::ffff:127.0.0.1', undefined, 'local'],
    ['192.0.2.1', undefined, 'clear'],
    ['192.0.2.1', 'https', 'clear'],
    ['::ffff:192.0.2.1', 'https', 'clear'],
    ['10.1.2.3', 'https', 'secure'],
    ['2001:db8::1', 'https', 'secure'],
    ['10.1.2.3', 'http', 'clear'],
    ['10.1.2.3', 'http, https', 'clear'],
    ['10.1.2.3', undefined, 'local'],
    ['', undefined, 'clear'],
  ])('from %j that says %j is %s', (peer, proto, expected) => {
    expect(judge(peer, proto)).toBe(expected)
  })

  test('through a trusted proxy is refused when the proxy was asked in clear, before anything is read', async () => {
    const guard = { ...fixture.deps, proxies: networksOf(['127.0.0.1']) }
    const plain = await serveApp(createApp(guard), { host: '127.0.0.1', port: 0, guard })
    const url = `http://127.0.0.1:${portOf(plain)}/problems/not-found`
    const [refused, taken, local] = [
      await get(url, { 'x-forwarded-proto': 'http' }),
      await get(url, { 'x-forwarded-proto': 'https' }),
      await get(url),
    ]
    await stop(plain)
    expect([refused.status, JSON.parse(refused.body).code]).toEqual([403, 'tls-needed'])
    expect([taken.status, taken.headers['strict-transport-security']]).toEqual([200, 'max-age=31536000'])
    expect([local.status, local.headers['strict-transport-security']]).toEqual([200, undefined])
  })
})

describe('settings', () => {
  const complaintOf = (changes: Record<string, string>) => {
    const env = {
      DATABASE_URL: 'postgres://capstan_api@127.0.0.1:1/capstan',
      REDIS_URL: 'redis://127.0.0.1:1',
      PUBLIC_URL: 'https://capstan.test',
      TOKEN_PEPPER_FILE: '/run/pepper',
      BROKER_SEAL_SOCKET: '/run/seal.sock',
      OBJECT_STORE_DIR: '/var/objects',
      OBJECT_STORE_KEY_FILE: '/run/objects.key',
      ...changes,
    }
    return ApiConfig.safeParse(env).error?.issues[0]?.message
  }

  test.each([
    ['a public address in clear', { HOST: '0.0.0.0' }, 'plain http is served on loopback only'],
    ['half a pair', { TLS_CERT_FILE: '/c' }, 'TLS_CERT_FILE and TLS_KEY_FILE belong together'],
    [
      'links in clear',
      { TLS_CERT_FILE: '/c', TLS_KEY_FILE: '/k', PUBLIC_URL: 'http://x.test' },
      'PUBLIC_URL must begin with https',
    ],
    ['a proxy that is no network', { HOST: '0.0.0.0', TRUSTED_PROXIES: 'proxy' }, 'name networks like'],
  ])('are refused with %s', (_name, changes, sentence) => {
    expect(complaintOf(changes)).toContain(sentence)
  })

  test.each([
    ['loopback in clear', {}],
    ['TLS on every address', { HOST: '0.0.0.0', TLS_CERT_FILE: '/c', TLS_KEY_FILE: '/k' }],
    ['a proxy in front', { HOST: '0.0.0.0', TRUSTED_PROXIES: '10.0.0.0/8, ::1' }],
  ])('are taken with %s', (_name, changes) => {
    expect(complaintOf(changes)).toBeUndefined()
  })

  test('name files that fit together', () => {
    makeCertificate('other.pem', 'other.key', 'other')
    expect(() => readCertificate({ ...files(), keyFile: join(folder, 'other.key') })).toThrow('does not belong')
    expect(() => readCertificate({ ...files(), certFile: join(folder, 'key.pem') })).toThrow('PEM form')
    expect(() => readCertificate({ ...files(), certFile: join(folder, 'none') })).toThrow(
      'TLS_CERT_FILE names cannot be read',
    )
  })
})
