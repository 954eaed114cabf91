import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, createSign, generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { validateArchive } from '../src/archive/index.js'
import type { Terminal } from '../src/cli/command.js'
import { runCommand } from '../src/cli/run-command.js'
import { createLiveUpdate } from '../src/live-update/node/index.js'
import { importReleaseKey, openEnvelope, parseReleaseStatement, payloadTypes } from '../src/release/index.js'
import { customer, makeDevice, platformKeys, releaseOf, shown, stranger } from './update-fixture.js'
import { makeZip } from './make-zip.js'

let home: string
const at = (...names: string[]): string => join(home, ...names)
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'capstan-cli-'))
  mkdirSync(at('web', 'assets'), { recursive: true })
  writeFileSync(at('web', 'index.html'), '<p>cli</p>')
  writeFileSync(at('web', 'assets', 'app.js'), 'show("cli")')
  writeFileSync(at('web', '.DS_Store'), 'x')
  writeFileSync(at('key.pem'), customer.privateKey)
  writeFileSync(at('key.pub.pem'), customer.publicKey)
  writeFileSync(at('token'), 'ca_0123456789\n')
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

interface Outcome {
  code: number
  out: string[]
  err: string[]
}
async function capstan(args: string[], terminal: Partial<Terminal> = {}): Promise<Outcome> {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await runCommand(args, {
    print: (line) => out.push(line),
    note: (line) => err.push(line),
    readInput: () => Promise.resolve(''),
    tokenFile: null,
    ...terminal,
  })
  return { code, out, err }
}

describe('the command line', () => {
  test('says what there is, and refuses what there is not', async () => {
    const help = await capstan(['--help'])
    expect(help).toMatchObject({ code: 0, err: [] })
    for (const name of ['keygen', 'sign', 'publish', 'register-key', 'verify-audit']) {
      expect(help.out[0]).toContain(name)
      expect((await capstan([name, '--help'])).out[0]).toContain(`capstan ${name}`)
    }
    expect(await capstan([])).toMatchObject({ code: 2, out: [] })
    expect(await capstan(['__proto__'])).toMatchObject({ code: 2, err: [expect.stringContaining('not a command')] })
    expect(await capstan(['keygen', '--nonsense'])).toMatchObject({ code: 2 })
    expect(await capstan(['keygen', 'extra'])).toMatchObject({ code: 2, err: [expect.stringContaining('"extra"')] })
    expect(await capstan(['sign'])).toMatchObject({ code: 2, err: [expect.stringContaining('PATH')] })
  })

  test('the installed command runs and gives its exit code', () => {
    const bin = fileURLToPath(new URL('../bin/capstan.js', import.meta.url))
    expect(execFileSync(process.execPath, [bin, '--help'], { encoding: 'utf8' })).toContain('verify-audit')
    const refused = spawnSync(process.execPath, [bin, 'sign', at('web'), '--key', at('none')], { encoding: 'utf8' })
    expect(refused).toMatchObject({ status: 1, stdout: '' })
    expect(refused.stderr).toBe(`capstan sign: Cannot read ${at('none')}: there is no such file or folder. (FILE)\n`)
  })
})

describe('keygen', () => {
  test('makes a private key for the user alone and a public key that devices accept, and overwrites nothing', async () => {
    const args = ['keygen', '--private', at('k.pem'), '--bits', '2048']
    const made = await capstan(args)
    expect(made).toMatchObject({ code: 0, err: [] })
    expect(statSync(at('k.pem')).mode & 0o777).toBe(0o600)
    const key = await importReleaseKey(readFileSync(at('k.pub.pem'), 'utf8'))
    expect(made.out[2]).toContain(key.keyId)
    const before = readFileSync(at('k.pem'), 'utf8')
    expect(await capstan(args)).toMatchObject({ code: 1, err: [expect.stringContaining('not overwritten')] })
    expect(readFileSync(at('k.pem'), 'utf8')).toBe(before)
    rmSync(at('k.pem'))
    expect(await capstan(args)).toMatchObject({ code: 1 })
    expect(readdirSync(home)).not.toContain('k.pem')
  })

  test('a size below the policy is refused', async () => {
    expect(await capstan(['keygen', '--private', at('k.pem'), '--bits', '1024'])).toMatchObject({ code: 2 })
    expect(readdirSync(home)).not.toContain('k.pem')
  })
})

describe('sign', () => {
  test('packs a folder the same way each time and signs as the official tool does', async () => {
    const first = await capstan(['sign', at('web'), '--key', at('key.pem'), '--zip', at('a.zip')])
    const second = await capstan(['sign', at('web'), '--key', at('key.pem'), '--zip', at('b.zip')])
    expect(first).toMatchObject({ code: 0, err: [] })
    expect(second.out).toEqual(first.out)
    const zip = readFileSync(at('a.zip'))
    expect(readFileSync(at('b.zip')).equals(zip)).toBe(true)
    expect((await validateArchive(zip)).map((file) => file.path)).toEqual(['assets/app.js', 'index.html'])
    expect(first.out).toEqual([createSign('sha256').update(zip).sign(customer.privateKey, 'base64')])
    expect((await capstan(['sign', at('a.zip'), '--key', at('key.pem')])).out).toEqual(first.out)
  })

  test('takes a PKCS#1 key, too', async () => {
    const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
    writeFileSync(at('pkcs1.pem'), pair.privateKey.export({ type: 'pkcs1', format: 'pem' }))
    expect(await capstan(['sign', at('web'), '--key', at('pkcs1.pem'), '--zip', at('a.zip')])).toMatchObject({
      code: 0,
    })
  })

  test('writes a release statement that says exactly what was asked', async () => {
    const about = ['--app', 'app', '--channels', 'production,beta', '--bundle', 'b7', '--sequence', '7']
    const more = ['--platforms', 'android,electron', '--min-native', '1.2', '--expires-days', '30', '--restores', 'b5']
    const signed = await capstan([
      'sign',
      at('web'),
      '--key',
      at('key.pem'),
      '--zip',
      at('a.zip'),
      '--release',
      at('r.json'),
      ...about,
      ...more,
    ])
    expect(signed).toMatchObject({ code: 0 })
    const envelope: unknown = JSON.parse(readFileSync(at('r.json'), 'utf8'))
    const opened = await openEnvelope(envelope, payloadTypes.release, [await importReleaseKey(customer.publicKey)])
    const statement = parseReleaseStatement(opened.payload)
    const zip = readFileSync(at('a.zip'))
    expect(statement).toMatchObject({
      appId: 'app',
      channels: ['production', 'beta'],
      platforms: ['android', 'electron'],
      bundleId: 'b7',
      sequence: 7,
      minNativeVersion: '1.2',
      maxNativeVersion: null,
      restores: 'b5',
      archive: { sha256: createHash('sha256').update(zip).digest('hex'), size: zip.length },
    })
    expect(Date.parse(statement.expiresAt) - Date.parse(statement.createdAt)).toBe(30 * 86_400_000)
    expect(statement.files).toEqual(await validateArchive(zip))
    expect(signed.err).toEqual([`release 7 is ${opened.sha256}`])
  })

  test.each([
    ['a folder without --zip', () => ['web'], 2, '--zip is missing'],
    ['a release without an app', () => ['web', '--zip', 'a.zip', '--release', 'r.json'], 2, '--app is missing'],
    [
      'a sequence that is no number',
      () => ['web', '--zip', 'a.zip', '--release', 'r.json', '--sequence', '1e3'],
      2,
      'whole number',
    ],
    [
      'an unknown platform',
      () => ['web', '--zip', 'a.zip', '--release', 'r.json', '--platforms', 'toaster'],
      2,
      'toaster',
    ],
    ['a path that is not there', () => ['none'], 1, '(FILE)'],
    ['a zip that is none', () => (writeFileSync(at('x.zip'), 'hello'), ['x.zip']), 1, '(ARCHIVE_NOT_ZIP)'],
    [
      'a zip that devices refuse',
      () => (writeFileSync(at('x.zip'), makeZip([{ name: '../x', content: 'x' }])), ['x.zip']),
      1,
      '(ARCHIVE_NAME_UNSAFE)',
    ],
    [
      'a folder without a page',
      () => (mkdirSync(at('empty')), writeFileSync(at('empty', 'a.js'), ''), ['empty', '--zip', 'a.zip']),
      1,
      '(INDEX_MISSING)',
    ],
    [
      'a folder with a link',
      () => (symlinkSync('/etc/hostname', at('web', 'link')), ['web', '--zip', 'a.zip']),
      1,
      '(ARCHIVE_ENTRY_TYPE)',
    ],
  ])('%s is refused in one sentence and leaves no file', async (_what, arrange, code, words) => {
    const args = arrange().map((word) => (/^(web|none|empty|.*\.(zip|json))$/.test(word) ? at(word) : word))
    const before = readdirSync(home)
    const refused = await capstan(['sign', ...args, '--key', at('key.pem')])
    expect(refused).toMatchObject({ code, out: [], err: [expect.stringContaining(words)] })
    expect(readdirSync(home)).toEqual(before)
  })

  test.each([
    [
      'an EC key',
      () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
      'KEY_ALGORITHM',
    ],
    [
      'a small key',
      () => generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
      'KEY_SIZE',
    ],
    ['a public key', () => customer.publicKey, 'KEY_NOT_PEM'],
    [
      'an encrypted key',
      () =>
        generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
          type: 'pkcs8',
          format: 'pem',
          cipher: 'aes-256-cbc',
          passphrase: 'x',
        }),
      'KEY_ENCRYPTED',
    ],
  ])('%s is refused', async (_what, key, code) => {
    writeFileSync(at('bad.pem'), key())
    expect(await capstan(['sign', at('web'), '--key', at('bad.pem'), '--zip', at('a.zip')])).toMatchObject({
      code: 1,
      err: [expect.stringContaining(`(${code})`)],
    })
  })
})

/** The parts of the server's contract that publishing uses, answering as the contract says and keeping what arrives. */
interface PublishServer {
  server: Server
  url: string
  calls: { line: string; token: string; body: unknown }[]
  parts: Map<number, Buffer>
  refuse: { status: number; body: object } | null
}

async function readBody(request: Request): Promise<unknown> {
  const type = request.headers.get('content-type') ?? ''
  if (!type.startsWith('multipart/')) return request.json()
  const fields = await request.formData()
  const entries = await Promise.all(
    Array.from(
      fields,
      async ([name, value]) =>
        [name, typeof value === 'string' ? value : Buffer.from(await value.arrayBuffer())] as const,
    ),
  )
  return Object.fromEntries(entries)
}

async function startPublishServer(): Promise<PublishServer> {
  const state = { calls: [], parts: new Map(), refuse: null } as unknown as PublishServer
  state.server = createServer((incoming, response) => {
    void (async () => {
      const body = await buffer(incoming)
      const headers = { 'content-type': incoming.headers['content-type'] ?? 'application/json' }
      const parsed = (await readBody(
        new Request('http://x/', { method: 'POST', headers, body: Uint8Array.from(body) }),
      )) as Record<string, unknown>
      const line = `${incoming.method} ${incoming.url}`
      state.calls.push({ line, token: incoming.headers.authorization ?? '', body: parsed })
      if (parsed['partNumber']) state.parts.set(Number(parsed['partNumber']), parsed['blob'] as Buffer)
      const answers: [RegExp, object][] = [
        [/mpu-create/, { uploadId: 'upload_1' }],
        [/mpu-uploadpart/, { partNumber: Number(parsed['partNumber']), etag: 'e' }],
        [/mpu-complete/, {}],
        [/\/files$/, { id: 'file-1' }],
        [/^PATCH/, { id: 'bundle-1', appDeploymentId: 'deployment-1' }],
        [/./, { id: 'bundle-1', appBuildId: 'build-1' }],
      ]
      const answer = state.refuse?.body ?? answers.find(([pattern]) => pattern.test(line))![1]
      response
        .writeHead(state.refuse?.status ?? 200, { 'content-type': 'application/json' })
        .end(JSON.stringify(answer))
    })()
  })
  await new Promise<void>((resolve) => state.server.listen(0, '127.0.0.1', resolve))
  state.url = `http://127.0.0.1:${(state.server.address() as AddressInfo).port}`
  return state
}

describe('publish', () => {
  let api: PublishServer
  beforeAll(async () => {
    api = await startPublishServer()
  })
  beforeEach(() => {
    api.calls.length = 0
    api.refuse = null
  })
  afterAll(() => new Promise((resolve) => api.server.close(resolve)))
  const args = (...more: string[]): string[] => [
    'publish',
    at('web'),
    '--app',
    'app',
    '--channel',
    'production',
    '--key',
    at('key.pem'),
    '--server',
    api.url,
    ...more,
  ]

  test('signs here, uploads the zip, and sends a release that a device installs', async () => {
    const published = await capstan(
      args('--token-file', at('token'), '--platforms', 'electron', '--sequence', '3', '--rollout', '0.5', '--json'),
    )
    expect(published).toMatchObject({ code: 0 })
    expect(JSON.parse(published.out[0]!)).toMatchObject({
      bundleId: 'bundle-1',
      deploymentId: 'deployment-1',
      sequence: 3,
    })
    expect(api.calls.map((call) => call.line)).toEqual([
      'POST /v1/apps/app/bundles',
      'POST /v1/apps/app/bundles/bundle-1/files',
      'PATCH /v1/apps/app/bundles/bundle-1',
    ])
    expect(new Set(api.calls.map((call) => call.token))).toEqual(new Set(['Bearer ca_0123456789']))
    expect(api.calls[0]!.body).toEqual({
      appId: 'app',
      artifactType: 'zip',
      channelName: 'production',
      rolloutPercentage: 0.5,
    })
    const file = api.calls[1]!.body as Record<string, string> & { file: Buffer }
    expect(Object.keys(file)).toEqual(['checksum', 'file', 'mimeType', 'name', 'signature', 'sizeInBytes'])
    expect(file['checksum']).toBe(createHash('sha256').update(file.file).digest('hex'))
    expect(file['signature']).toBe(createSign('sha256').update(file.file).sign(customer.privateKey, 'base64'))
    const patch = api.calls[2]!.body as { release: unknown; artifactStatus: string; appBundleFileId: string }
    expect(patch).toMatchObject({ artifactStatus: 'ready', appBundleFileId: 'file-1' })
    await expectInstalls(file.file, patch.release, 'app')
  })

  async function expectInstalls(zip: Buffer, release: unknown, appId: string): Promise<void> {
    const opened = await openEnvelope(release, payloadTypes.release, [await importReleaseKey(customer.publicKey)])
    const sequence = parseReleaseStatement(opened.payload).sequence
    const { channelStatement } = await releaseOf(zip, sequence, {
      channel: { appId, release: { sha256: opened.sha256, sequence } },
    })
    const device = makeDevice(api.url, { appId, platformKey: platformKeys.publicKey })
    const fetch = (url: string): Promise<Response> =>
      Promise.resolve(
        url.includes('/latest')
          ? Response.json({
              artifactType: 'zip',
              bundleId: 'bundle-1',
              url: `${api.url}/zip`,
              release,
              channelStatement,
            })
          : new Response(Uint8Array.from(zip)),
      )
    const updates = await createLiveUpdate({ ...device.options, world: { fetch } })
    expect((await updates.sync()).status).toBe('staged')
    expect(shown((await updates.launch()).directory)).toBe('cli')
    device.remove()
  }

  test('sends a large zip in parts', async () => {
    const noise = randomBytes(11 * 1024 * 1024)
    writeFileSync(at('web', 'noise.bin'), noise)
    const published = await capstan(args('--token-file', at('token'), '--no-release'))
    expect(published.code).toBe(0)
    expect(api.calls.map((call) => call.line.split('?')[1] ?? call.line.split(' ')[0])).toEqual([
      'POST',
      'POST',
      'action=mpu-create',
      'action=mpu-uploadpart&uploadId=upload_1',
      'action=mpu-uploadpart&uploadId=upload_1',
      'action=mpu-complete&uploadId=upload_1',
      'PATCH',
    ])
    const declared = api.calls[1]!.body as Record<string, string>
    expect(declared['file']).toBeUndefined()
    const whole = Buffer.concat([api.parts.get(1)!, api.parts.get(2)!])
    expect(createHash('sha256').update(whole).digest('hex')).toBe(declared['checksum'])
    expect(api.calls[5]!.body).toEqual({
      parts: [
        { partNumber: 1, etag: 'e' },
        { partNumber: 2, etag: 'e' },
      ],
    })
    expect(api.calls[6]!.body).toEqual({ artifactStatus: 'ready', appBundleFileId: 'file-1' })
  })

  test('takes the token from the environment or standard input, never from the command line', async () => {
    expect((await capstan(args(), { tokenFile: at('token') })).code).toBe(0)
    expect(
      (await capstan(args('--token-file', '-'), { readInput: () => Promise.resolve('ca_0123456789\n') })).code,
    ).toBe(0)
    expect(new Set(api.calls.map((call) => call.token))).toEqual(new Set(['Bearer ca_0123456789']))
    expect(await capstan(args('--token', 'ca_0123456789'))).toMatchObject({ code: 2 })
    expect(await capstan(args())).toMatchObject({ code: 2, err: [expect.stringContaining('CAPSTAN_TOKEN_FILE')] })
    writeFileSync(at('token'), 'two words\n')
    const refused = await capstan(args('--token-file', at('token')))
    expect(refused).toMatchObject({ code: 1, err: [expect.stringContaining('(TOKEN)')] })
    expect(refused.err[0]).not.toContain('two words')
  })

  test("a refusal is the server's own sentence and code", async () => {
    api.refuse = { status: 404, body: { code: 'channel-not-found', message: 'There is no channel "production".' } }
    expect(await capstan(args('--token-file', at('token')))).toMatchObject({
      code: 1,
      out: [],
      err: ['capstan publish: There is no channel "production". (channel-not-found)'],
    })
  })

  test.each([
    ['a server that is not there', ['--server', 'http://127.0.0.1:1'], 1, '(NETWORK)'],
    ['plain http elsewhere', ['--server', 'http://example.com'], 2, 'https'],
    ['a server that is no address', ['--server', 'capstan'], 2, 'not a URL'],
    ['a rollout above one', ['--rollout', '50'], 2, '--rollout'],
    ['a channel that is empty', ['--channel', ''], 2, '--channel is missing'],
  ])('%s is refused before anything is sent', async (_what, more, code, words) => {
    expect(await capstan([...args('--token-file', at('token')), ...more])).toMatchObject({
      code,
      err: [expect.stringContaining(words)],
    })
    expect(api.calls).toEqual([])
  })

  test('register-key sends a public key, and refuses a private one before sending', async () => {
    const to = ['--app', 'app', '--server', api.url, '--token-file', at('token')]
    expect(await capstan(['register-key', at('key.pub.pem'), ...to])).toMatchObject({ code: 0 })
    expect(api.calls).toMatchObject([{ line: 'POST /v1/apps/app/public-keys', body: { pem: customer.publicKey } }])
    writeFileSync(at('secret.pem'), stranger.privateKey)
    expect(await capstan(['register-key', at('secret.pem'), ...to])).toMatchObject({
      code: 1,
      err: [expect.stringContaining('(KEY_PRIVATE)')],
    })
    expect(api.calls).toHaveLength(1)
  })
})

describe('verify-audit', () => {
  const { auditChain } = JSON.parse(readFileSync(new URL('../vectors/audit-chain.json', import.meta.url), 'utf8')) as {
    auditChain: { events: { json: string; hash: string }[]; signedCheckpoint: string; ed25519PublicHex: string }
  }
  const lines = auditChain.events.map(({ json, hash }, index) => JSON.stringify({ seq: index + 1, hash, event: json }))
  const head = `5:${auditChain.events[4]!.hash}`
  const write = (count = 5): string => {
    writeFileSync(
      at('log.jsonl'),
      lines
        .slice(0, count)
        .map((line) => `${line}\n`)
        .join(''),
    )
    return at('log.jsonl')
  }
  const checkpoint = (): string[] => {
    const der = Buffer.from(`302a300506032b6570032100${auditChain.ed25519PublicHex}`, 'hex').toString('base64')
    writeFileSync(at('key'), `-----BEGIN PUBLIC KEY-----\n${der}\n-----END PUBLIC KEY-----\n`)
    writeFileSync(at('note'), auditChain.signedCheckpoint)
    return ['--checkpoint', at('note'), '--checkpoint-key', at('key')]
  }

  test('exit 0 and the head when the log is intact', async () => {
    const expected = { code: 0, out: ['intact: 5 events of org_1', `head: ${head}`], err: [] }
    expect(await capstan(['verify-audit', write()])).toEqual(expected)
    expect(
      await capstan(['verify-audit', write(), '--head', head, '--min-size', '5', '--org', 'org_1', ...checkpoint()]),
    ).toEqual(expected)
  })

  test('exit 1, the event and the reason after one byte changed', async () => {
    const path = write()
    const bytes = readFileSync(path)
    const position = bytes.indexOf('usr_B')
    bytes[position] = bytes[position]! ^ 1
    writeFileSync(path, bytes)
    expect(await capstan(['verify-audit', path])).toEqual({
      code: 1,
      out: ['tampered: event 3: The event does not have the hash that the line names. (HASH_MISMATCH)'],
      err: [],
    })
  })

  test('exit 1 when the end is missing and that can be known', async () => {
    expect((await capstan(['verify-audit', write(4)])).code).toBe(0)
    for (const more of [['--head', head], ['--min-size', '5'], checkpoint()]) {
      expect(await capstan(['verify-audit', write(4), ...more])).toMatchObject({
        code: 1,
        out: [expect.stringContaining('(TOO_SHORT)')],
      })
    }
  })

  test('exit 2 for wrong usage, also for a file that is not there', async () => {
    expect((await capstan(['verify-audit'])).code).toBe(2)
    expect((await capstan(['verify-audit', at('none')])).code).toBe(2)
    expect((await capstan(['verify-audit', write(), '--head', '5'])).code).toBe(2)
    expect((await capstan(['verify-audit', write(), '--checkpoint', at('x')])).code).toBe(2)
  })

  test('exit 3 when nothing can be said', async () => {
    expect(await capstan(['verify-audit', write(0)])).toMatchObject({
      code: 3,
      out: ['cannot be verified: the log is empty'],
    })
    const more = checkpoint()
    writeFileSync(at('note'), auditChain.signedCheckpoint.replace('\n5\n', '\n4\n'))
    expect(await capstan(['verify-audit', write(), ...more])).toMatchObject({
      code: 3,
      err: [expect.stringContaining('CHECKPOINT_SIGNATURE')],
    })
    const event = JSON.stringify({
      org: 'org_1',
      prev: auditChain.events[4]!.hash,
      seq: 6,
      ts: '2026-11-21T20:00:00.000Z',
    })
    const hash = createHash('sha256').update(`audit-event-v1\0${event}`).digest('hex')
    const path = write()
    writeFileSync(path, `${readFileSync(path, 'utf8')}${JSON.stringify({ seq: 6, hash, event })}\n`)
    expect(await capstan(['verify-audit', path, ...checkpoint()])).toMatchObject({
      code: 3,
      out: [expect.stringContaining('5 of 6')],
    })
    expect((await capstan(['verify-audit', path])).code).toBe(0)
  })
})
