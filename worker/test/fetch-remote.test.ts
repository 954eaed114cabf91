import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { BrokerClient } from '../src/broker-client.js'
import { parseHostRule } from '../src/egress/host-policy.js'
import { androidProject } from './android-project.js'
import type { Bench } from './build-bench.js'
import { openBench } from './build-bench.js'

const password = 'git-canary-9d1f'
let folder: string
let server: Server
let port: number
let bench: Bench
let commit: string
const archive = androidProject({ scripts: { build: 'mkdir -p dist && cp src/index.html dist/' } })

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'capstan-git-'))
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const subject = ['-subj', '/CN=git.test', '-addext', 'subjectAltName=DNS:git.test']
  const options = [
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    ...subject,
    '-keyout',
    key,
    '-out',
    certificate,
  ]
  execFileSync('openssl', ['req', ...options], { stdio: 'ignore' })
  const work = join(folder, 'work')
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=Test', '-c', 'user.email=test@example.test', ...args], { encoding: 'utf8' })
  git('init', '-q', '-b', 'main', work)
  const scripts = { build: 'mkdir dist && cp index.html dist/ && test ! -e /work/.capstan/git && env' }
  writeFileSync(join(work, 'package.json'), JSON.stringify({ name: 'shop', version: '1.0.0', scripts }))
  writeFileSync(join(work, 'capacitor.config.json'), JSON.stringify({ webDir: 'dist' }))
  writeFileSync(join(work, 'index.html'), '<p>from git</p>')
  git('-C', work, 'add', '.')
  git('-C', work, 'commit', '-q', '-m', 'Open the shop')
  commit = git('-C', work, 'rev-parse', 'HEAD').trim()
  git('clone', '-q', '--bare', work, join(folder, 'shop.git'))
  server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (request, response) => {
    void answer(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
  rmSync(folder, { recursive: true })
})
afterEach(async () => {
  expect(bench.api.violations).toEqual([])
  await bench[Symbol.asyncDispose]()
})

/** git's own server, behind a password. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '', 'https://git.test')
  if (url.pathname === '/app.zip') return void response.end(url.search === '?token=good' ? archive : 'no archive')
  if (url.pathname === '/moved.zip') return void response.writeHead(302, { location: '/app.zip' }).end()
  if (request.headers.authorization !== `Basic ${Buffer.from(`robot:${password}`).toString('base64')}`) {
    response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end()
    return
  }
  const backend = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env['PATH'],
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: request.method,
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REMOTE_USER: 'robot',
    },
  })
  // git may answer and end before it has read what it was sent.
  backend.stdin.on('error', () => undefined)
  const body = await buffer(request)
  const isPacked = request.headers['content-encoding'] === 'gzip'
  backend.stdin.end(isPacked ? gunzipSync(body) : body)
  const said = await buffer(backend.stdout)
  const end = said.indexOf('\r\n\r\n')
  for (const line of said.toString('latin1', 0, end).split('\r\n')) {
    const [name = '', value = ''] = line.split(': ')
    if (name === 'Status') response.statusCode = Number.parseInt(value, 10)
    else response.setHeader(name, value)
  }
  response.end(said.subarray(end + 4))
}

async function build(ref: string, credential = { username: 'robot', password }): Promise<void> {
  const openGitCredential: BrokerClient['openGitCredential'] = () => Promise.resolve({ kind: 'basic', ...credential })
  bench = await openBench({
    extraCa: readFileSync(join(folder, 'cert.pem')),
    hostPolicy: { allowed: [], privateAllowed: [parseHostRule(`git.test:${port}`)!], appHostsCount: true },
    resolve: () => Promise.resolve([{ address: '127.0.0.1', family: 4 }]),
  })
  bench.world.broker = { ...bench.world.broker, openGitCredential }
  const source = { kind: 'git', url: `https://git.test:${port}/shop.git`, ref, auth: 'basic' } as const
  // A variable of the customer that would have git tell its credential.
  bench.api.spec = {
    platform: 'web',
    type: null,
    source,
    variables: { GIT_TRACE_CURL: '1', GIT_ASKPASS: '/bin/false' },
  }
  await bench.run()
}

test('a commit is fetched with the credential of its connection, which no command of the build ever sees', async () => {
  await build('main')
  expect(bench.api.finishes, bench.api.log).toEqual([{ status: 'succeeded', retryable: false }])
  expect(bench.api.sources).toEqual([{ commitSha: commit, commitMessage: 'Open the shop' }])
  expect(bench.api.log).toContain(`Commit ${commit}`)
  for (const form of [password, Buffer.from(`robot:${password}`).toString('base64')]) {
    expect(bench.api.log).not.toContain(form)
  }
  expect(bench.api.artifacts.map(({ final }) => final)).toEqual([true])
})

test('a commit can be named by its hash', async () => {
  await build(commit)
  expect(bench.api.sources).toEqual([{ commitSha: commit, commitMessage: 'Open the shop' }])
})

test.each([
  ['a reference that is not there', 'no-such-branch', undefined],
  ['a credential that the host refuses', 'main', { username: 'robot', password: 'wrong-password' }],
])('%s ends the build with a sentence', async (_name, ref, credential) => {
  await build(ref, credential)
  expect(bench.api.finishes).toMatchObject([{ status: 'failed', code: 'git-fetch-failed' }])
  expect(bench.api.finishes[0]?.message).toContain('could not be fetched')
  expect(bench.api.log).not.toContain('wrong-password')
})

const sha256 = createHash('sha256').update(archive).digest('hex')

async function buildFrom(path: string, expected: string | null = null, maxBytes = 50 << 20): Promise<void> {
  bench = await openBench({
    extraCa: readFileSync(join(folder, 'cert.pem')),
    hostPolicy: { allowed: [], privateAllowed: [parseHostRule(`git.test:${port}`)!], appHostsCount: true },
    resolve: (host) => Promise.resolve([{ address: host === 'git.test' ? '127.0.0.1' : '169.254.169.254', family: 4 }]),
  })
  const url = path.startsWith('https:') ? path : `https://git.test:${port}${path}`
  bench.api.spec = { platform: 'web', type: null, source: { kind: 'url', url, sha256: expected, maxBytes } }
  await bench.run()
}

test('an archive is fetched from its address, compared and built; the log does not show what gives access', async () => {
  await buildFrom('/app.zip?token=good', sha256)
  expect(bench.api.finishes, bench.api.log).toEqual([{ status: 'succeeded', retryable: false }])
  expect(bench.api.sources).toEqual([{ sha256, sizeBytes: archive.length }])
  expect(bench.api.log).toContain('/app.zip')
  expect(bench.api.log).not.toContain('token=good')
})

test.each([
  ['another archive than the one named', '/app.zip?token=good', 'source-mismatch', 'f'.repeat(64), 50 << 20],
  ['one that is too large', '/app.zip?token=good', 'source-fetch-failed', null, 100],
  ['a redirect', '/moved.zip', 'source-fetch-failed', null, 50 << 20],
  ['a name that leads to a metadata service', 'https://files.example/app.zip', 'source-fetch-failed', null, 50 << 20],
  ['something that is no archive', '/app.zip', 'source-invalid', null, 50 << 20],
])('%s ends the build', async (_name, path, code, expected, maxBytes) => {
  await buildFrom(path, expected, maxBytes)
  expect(bench.api.finishes).toMatchObject([{ status: 'failed', code }])
})
