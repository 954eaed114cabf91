import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Server } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { BuildSpec } from '@capstan/migrations/messages'
import { parseHostRule } from '../src/egress/host-policy.js'
import { androidProject } from './android-project.js'
import type { Bench } from './build-bench.js'
import { openBench } from './build-bench.js'

const big = randomBytes(24 << 20)
let registry: Server
let port: number
let tarball: Buffer
let bench: Bench
const served: string[] = []

beforeAll(async () => {
  const archive = pack()
  archive.entry({ name: 'package/package.json' }, JSON.stringify({ name: 'buoy', version: '1.0.0' }))
  archive.finalize()
  tarball = gzipSync(await buffer(archive))
  registry = createServer((request, response) => {
    served.push(`${request.method} ${request.url} ${request.headers.host}`)
    if (request.url === '/big') response.end(big)
    else if (request.url === '/buoy/-/buoy-1.0.0.tgz') response.end(tarball)
    else response.writeHead(404).end()
  }).listen(0, '127.0.0.1')
  await once(registry, 'listening')
  port = (registry.address() as AddressInfo).port
})
afterAll(() => registry.close())
afterEach(async () => {
  expect(bench.api.violations).toEqual([])
  await bench[Symbol.asyncDispose]()
})

async function build(
  scripts: Record<string, string>,
  files: Record<string, string> = {},
  spec: Partial<BuildSpec> = { platform: 'web', type: null },
  gradlew?: string,
): Promise<void> {
  const addresses: Record<string, string> = { 'registry.test': '127.0.0.1', 'rebound.test': '169.254.169.254' }
  bench = await openBench({
    hostPolicy: {
      allowed: ['rebound.test', 'private.test'].map((text) => parseHostRule(text)!),
      privateAllowed: [parseHostRule(`registry.test:${port}`)!],
      appHostsCount: true,
    },
    resolve: (host) => Promise.resolve([{ address: addresses[host] ?? '10.0.0.1', family: 4 }]),
  })
  bench.api.spec = spec
  const replaced = Object.entries(files).map(([name, content]) => ({ name, content }))
  bench.api.source = androidProject({
    scripts,
    without: Object.keys(files),
    files: replaced,
    ...(gradlew !== undefined && { gradlew }),
  })
  await bench.run()
}

const web = 'mkdir -p dist && cp src/index.html dist/'

test('npm installs from an allowed registry through the proxy, and the log tells who was asked', async () => {
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
  const resolved = `http://registry.test:${port}/buoy/-/buoy-1.0.0.tgz`
  const dependencies = { buoy: '1.0.0' }
  const lock = {
    name: 'pier',
    version: '1.0.0',
    lockfileVersion: 3,
    packages: {
      '': { name: 'pier', version: '1.0.0', dependencies },
      'node_modules/buoy': { version: '1.0.0', resolved, integrity },
    },
  }
  const scripts = { build: `test -f node_modules/buoy/package.json && ${web}` }
  await build(scripts, {
    'package.json': JSON.stringify({ name: 'pier', version: '1.0.0', dependencies, scripts }),
    'package-lock.json': JSON.stringify(lock),
  })
  expect(bench.api.finishes).toMatchObject([{ status: 'succeeded' }])
  expect(served).toContain(`GET /buoy/-/buoy-1.0.0.tgz registry.test:${port}`)
  expect(bench.api.lines).toContain(`Network: registry.test:${port} allowed`)
  const summary = new RegExp(`Network: registry.test:${port} allowed, \\d+ connections, ${tarball.length} bytes in`)
  expect(bench.api.log).toMatch(summary)
  expect(bench.api.lines).toContain('The network is disconnected.')
})

test.each([
  ['on', 'succeeded'],
  ['off', 'failed'],
])('with ANDROID_NETWORK %s a Gradle build that calls an allowed registry has %s', async (network, status) => {
  const gradlew = `#!/bin/sh
set -e
test -n "$HTTP_PROXY"
curl() { node -e "require('http').get({host:'127.0.0.1',port:3128,path:'$1'},r=>process.exit(r.statusCode===200?0:1)).on('error',()=>process.exit(1))"; }
curl http://registry.test:${port}/buoy/-/buoy-1.0.0.tgz
mkdir -p app/build/outputs/apk/debug
aapt package -f -M app/src/main/AndroidManifest.xml -A app/src/main/assets -I "$ANDROID_JAR" -F app/build/outputs/apk/debug/app-debug-unsigned.apk`
  await build(
    { build: web },
    {},
    { platform: 'android', type: 'debug', variables: { ANDROID_NETWORK: network } },
    gradlew,
  )
  expect(bench.api.finishes).toMatchObject([{ status }])
  const phases = bench.api.phases.filter(({ state }) => state === 'failed').map(({ phase }) => phase)
  expect(phases).toEqual(status === 'failed' ? ['compile'] : [])
})

const ask = `
const net = require('node:net')
const ask = (line) => new Promise((resolve) => {
  const socket = net.connect(Number(new URL(process.env.HTTPS_PROXY).port), '127.0.0.1')
  let said = ''
  socket.on('data', (chunk) => { said += chunk.toString('latin1') })
  socket.on('end', () => resolve(said)).on('error', (error) => resolve(error.code))
  socket.write(line + ' HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')
})
;(async () => {
  for (const line of process.argv.slice(2)) {
    const said = await ask(line)
    console.log('ASKED ' + line + ' -> ' + (/^HTTP.1.1 (\\d+)/.exec(said)?.[1] ?? said))
  }
})()`

test('every other host is refused, however its address is spelled, and is written down', async () => {
  const lines = [
    'CONNECT evil.test:443',
    'CONNECT registry.test:22',
    'CONNECT rebound.test:443',
    'CONNECT private.test:443',
    `CONNECT 127.0.0.1:${port}`,
    `CONNECT 0x7f.1:${port}`,
    `CONNECT 2130706433:${port}`,
    'CONNECT [::1]:80',
    'CONNECT [::ffff:a9fe:a9fe]:80',
    'CONNECT 169.254.169.254:80',
    'CONNECT evil.test',
    'GET http://169.254.169.254/latest/meta-data/',
    `GET http://127.0.0.1:${port}/big`,
    `GET http://user:pw@registry.test:${port}/big`,
    'GET file:///etc/passwd',
    'GET /etc/passwd',
    `GET http://registry.test:${port}/nothing`,
  ]
  served.length = 0
  const postinstall = `node ask.cjs ${lines.map((line) => `'${line}'`).join(' ')}`
  await build({ postinstall, build: web }, { 'ask.cjs': ask })
  expect(bench.api.finishes).toMatchObject([{ status: 'succeeded' }])
  const answers = bench.api.lines.filter((line) => line.startsWith('ASKED ')).map((line) => line.slice(-3))
  const expected = [...Array(7).fill('403'), '400', '400', '403', '400', '403', '403', '400', '400', '400', '404']
  expect(answers).toEqual(expected)
  expect(served).toEqual([`GET /nothing registry.test:${port}`])
  expect(bench.api.log).toContain('Network: refused: evil.test:443 is not on the list')
  expect(bench.api.log).toContain('Network: refused: rebound.test has an address in a network')
  expect(bench.api.log).toContain('Network: evil.test:443 refused, asked for 1 times')
})

const download = `
const net = require('node:net')
const { createHash } = require('node:crypto')
const [, , target, slow] = process.argv
const socket = net.connect(3128, '127.0.0.1')
const hash = createHash('sha256')
let head = ''
let inBody = false
socket.write('CONNECT ' + target + ' HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
socket.on('data', (chunk) => {
  if (inBody) return hash.update(chunk)
  head += chunk.toString('latin1')
  if (head.split('\\r\\n\\r\\n').length === 2 && head.startsWith('HTTP/1.1 200 Conn') && !head.includes('Length')) {
    return socket.write('GET /big HTTP/1.1\\r\\nHost: registry.test\\r\\nConnection: close\\r\\n\\r\\n')
  }
  const [, , ...body] = head.split('\\r\\n\\r\\n')
  hash.update(Buffer.from(body.join('\\r\\n\\r\\n'), 'latin1'))
  inBody = true
})
socket.on('end', () => console.log('DIGEST ' + hash.digest('hex')))`

test('large downloads arrive whole through a tunnel, several at once', async () => {
  const one = `node download.cjs registry.test:${port}`
  await build({ postinstall: `${one} & ${one} & wait`, build: web }, { 'download.cjs': download })
  expect(bench.api.finishes).toMatchObject([{ status: 'succeeded' }])
  const digest = `DIGEST ${createHash('sha256').update(big).digest('hex')}`
  expect(bench.api.lines.filter((line) => line === digest)).toHaveLength(2)
})

const linger = `
const net = require('node:net')
const say = (text) => require('node:fs').appendFileSync('/tmp/said', text + '\\n')
const ask = 'CONNECT ' + process.argv[2] + ' HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'
const socket = net.connect(3128, '127.0.0.1')
socket.write(ask)
socket.once('data', (chunk) => say('open ' + chunk.toString('latin1').slice(9, 12)))
socket.on('error', () => undefined)
socket.on('close', () => {
  say('closed')
  again()
})
function again() {
  let isRefused = false
  const other = net.connect(3128, '127.0.0.1', () => other.write(ask))
  other.once('data', () => say('again'))
  other.on('error', (error) => {
    isRefused = error.code === 'ECONNREFUSED'
    if (isRefused) say(error.code)
  })
  other.on('close', () => isRefused || setTimeout(again, 100))
}
setTimeout(() => undefined, 60000)`

test('a process that the install left behind loses its connection and gets no other', async () => {
  const until = (text: string) => `for n in $(seq 300); do grep -qsE '${text}' /tmp/said && break; sleep 0.2; done`
  const postinstall = `(node linger.cjs registry.test:${port} >/dev/null 2>&1 &) ; ${until('open')}`
  await build({ postinstall, build: `${until('ECONNREFUSED|again')}; cat /tmp/said; ${web}` }, { 'linger.cjs': linger })
  expect(bench.api.finishes).toMatchObject([{ status: 'succeeded' }])
  const said = bench.api.lines.filter((line) => ['open 200', 'closed', 'ECONNREFUSED', 'again'].includes(line))
  expect(said).toEqual(['open 200', 'closed', 'ECONNREFUSED'])
})
