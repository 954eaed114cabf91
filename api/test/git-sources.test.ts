import { auditEvents, buildSources, withOrg } from '@capstan/migrations'
import { generateKeyPairSync } from 'node:crypto'
import { desc, eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  claimed,
  createTestApp,
  sourceZip,
  sha256,
  type TestApp,
  type TestWorker,
  underLease,
} from './build-fixture.js'
import { type Answer, createFixture, type Fixture } from './fixture.js'
import { askSocket, type BrokerSocketPaths, chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

let fixture: Fixture
let sockets: BrokerSocketPaths
let broker: TestBroker
let app: TestApp
let worker: TestWorker

beforeAll(async () => {
  sockets = await chooseSockets()
  const overrides = { sourcePrivateHosts: ['git.lan:8443'] }
  fixture = await createFixture({ sealSocket: sockets.sealSocket, overrides })
  broker = await startTestBroker(fixture, sockets)
  worker = await fixture.createWorker()
})
afterAll(async () => {
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
})
beforeEach(async () => {
  app = await createTestApp(fixture)
})

type Body = { id: string; code: string; message: string } & Record<string, unknown>
const call = (method: string, path: string, body?: unknown, token = app.org.tokens.admin) =>
  fixture.request(method, path, { token, ...(body === undefined ? {} : { body }) })
const link = (body: unknown, token?: string) => call('PUT', `/v1/apps/${app.id}/repository`, body, token)
const connect = (body: Record<string, unknown>, token?: string) =>
  call('POST', `/v1/organizations/${app.org.id}/git-connections`, { name: 'Ours', provider: 'github', ...body }, token)
const build = (body: Record<string, unknown>) =>
  call('POST', `/v1/apps/${app.id}/builds`, { platform: 'web', ...body }, app.token)
async function refused(answer: Promise<Answer>, status: number, code: string): Promise<string> {
  const found = await answer
  const body = await found.json<Body>()
  expect([found.status, body.code]).toEqual([status, code])
  return body.message
}
const basic = { kind: 'basic', username: 'robot', password: 'pass-canary-77' }
const open = (token: string, purpose = 'source') =>
  askSocket(sockets.openSocket, '/open-secrets', { token, body: { attempt: 1, purpose } })

/** An OpenSSH private key as far as the header: what tells a key with a passphrase from one without. */
function opensshKey(cipher: string): string {
  const text = (value: string) => Buffer.concat([Buffer.from([0, 0, 0, value.length]), Buffer.from(value)])
  const body = Buffer.concat([Buffer.from('openssh-key-v1\0'), text(cipher), text('none'), Buffer.alloc(64)])
  return `-----BEGIN OPENSSH PRIVATE KEY-----\n${body.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`
}
const knownHosts = `github.com ssh-ed25519 ${Buffer.alloc(51, 1).toString('base64')}`

describe('the repository of an app', () => {
  test.each([
    [
      'as the official CLI names it',
      { ownerSlug: 'acme', provider: 'github', repositorySlug: 'shop', appId: 'x' },
      'https://github.com/acme/shop',
    ],
    [
      'in a subgroup of GitLab',
      { ownerSlug: 'acme', provider: 'gitlab', repositorySlug: 'shop', projectSlug: 'web/apps' },
      'https://gitlab.com/acme/web/apps/shop',
    ],
    [
      'in a project of Azure',
      { ownerSlug: 'acme', provider: 'azure', repositorySlug: 'shop', projectSlug: 'mobile' },
      'https://dev.azure.com/acme/mobile/_git/shop',
    ],
    ['by its address', { url: 'https://code.example.com/acme/shop.git' }, 'https://code.example.com/acme/shop.git'],
    ['as git spells ssh', { url: 'git@code.example.com:acme/shop.git' }, 'ssh://git@code.example.com/acme/shop.git'],
    ['at a host the operator allows', { url: 'https://git.lan:8443/shop.git' }, 'https://git.lan:8443/shop.git'],
  ])('is linked %s', async (_name, body, webUrl) => {
    expect(await (await link(body)).json()).toMatchObject({ appId: app.id, webUrl })
    expect(await (await call('GET', `/v1/apps/${app.id}/repository`)).json()).toMatchObject({ webUrl })
    expect((await call('DELETE', `/v1/apps/${app.id}/repository`)).status).toBe(204)
    expect((await call('GET', `/v1/apps/${app.id}/repository`)).status).toBe(404)
  })

  // D10, and what an address can be mistaken for.
  test.each([
    '--upload-pack=touch /tmp/p;',
    'ext::sh -c touch% /tmp/p',
    'file:///etc/passwd',
    '/abs/path',
    'ssh://-oProxyCommand=touch/x',
    'git@-oProxyCommand=x:y',
    'http://code.example.com/x.git',
    'git://code.example.com/x.git',
    'https://user:secret@code.example.com/x.git',
    'https://token@code.example.com/x.git',
    'https://code.example.com/-x',
    'https://code.example.com/a b',
    'https://code.example.com/a\nb',
    'https://code.example.com\\@127.0.0.1/x',
    'https://127.0.0.1/x.git',
    'https://0x7f.1/x.git',
    'https://2130706433/x.git',
    'ssh://git@2130706433/x.git',
    'ssh://git@10.0.0.8/x.git',
    'https://[::1]/x.git',
    'https://[::ffff:a9fe:a9fe]/x.git',
    'https://localhost/x.git',
    'https://metadata.google.internal/x.git',
    'https://git.lan/x.git',
    'https://code.example.com:6379/x.git',
    'ssh://git@code.example.com/../../etc',
  ])('at %j is refused', async (url) => {
    await refused(link({ url }), 422, 'source-address-refused')
    expect((await call('GET', `/v1/apps/${app.id}/repository`)).status).toBe(404)
  })

  test('is nothing to another organization, and a developer may not move it', async () => {
    const stranger = (await fixture.createOrganization()).tokens.owner
    expect((await link({ url: 'https://code.example.com/x.git' }, stranger)).status).toBe(404)
    expect((await link({ url: 'https://code.example.com/x.git' }, app.token)).status).toBe(403)
  })
})

describe('a git connection', () => {
  test('keeps its credential to itself', async () => {
    const made = await connect({ auth: basic })
    expect(made.status).toBe(201)
    const shown = await made.text()
    expect(JSON.parse(shown)).toMatchObject({ name: 'Ours', host: 'github.com', authKind: 'basic' })
    const listed = await (await call('GET', `/v1/organizations/${app.org.id}/git-connections`)).text()
    const [event] = await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx.select().from(auditEvents).orderBy(desc(auditEvents.seq)).limit(1),
    )
    for (const text of [shown, listed, event?.event]) expect(text).not.toContain('canary')
    await refused(connect({ name: 'OURS', auth: { kind: 'none' } }), 409, 'git-connection-name-taken')
  })

  test('with an ssh key needs one without a passphrase, and the keys of its host', async () => {
    const ssh = { kind: 'ssh', privateKey: opensshKey('none'), knownHosts }
    expect((await connect({ auth: ssh })).status).toBe(201)
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
    const faults: [string, Record<string, string>][] = [
      ['passphrase', { privateKey: opensshKey('aes256-ctr') }],
      ['OpenSSH', { privateKey: String(pem) }],
      ['knownHosts', { knownHosts: '# nothing' }],
      ['knownHosts', { knownHosts: 'github.com\nProxyCommand x' }],
    ]
    for (const [word, changes] of faults) {
      const answer = connect({ name: 'Other', auth: { ...ssh, ...changes } })
      expect(await refused(answer, 422, 'git-connection-invalid')).toContain(word)
    }
  })

  test.each(['127.0.0.1', 'localhost', 'a b', 'x.example/path', '-o.example.com'])(
    'for %j is refused',
    async (host) => {
      await refused(connect({ provider: 'git_http', host, auth: basic }), 422, 'source-address-refused')
    },
  )

  test('is for its own host and transport alone', async () => {
    const { id } = await (await connect({ auth: basic })).json<Body>()
    const elsewhere = { url: 'https://code.example.com/x.git', gitConnectionId: id }
    expect(await refused(link(elsewhere), 422, 'git-connection-invalid')).toContain('github.com')
    await refused(link({ url: 'git@github.com:a/b.git', gitConnectionId: id }), 422, 'git-connection-invalid')
    const fits = await link({ path: 'acme/shop', gitConnectionId: id })
    expect(await fits.json()).toMatchObject({ webUrl: 'https://github.com/acme/shop', gitConnectionId: id })
  })

  test('of another organization cannot be named', async () => {
    const { id } = await (await connect({ auth: basic })).json<Body>()
    app = await createTestApp(fixture)
    expect((await link({ path: 'acme/shop', gitConnectionId: id })).status).toBe(404)
    const path = `/v1/organizations/${app.org.id}/git-connections/${id}`
    expect((await call('DELETE', path)).status).toBe(404)
    expect((await connect({ auth: basic }, app.token)).status).toBe(403)
  })
})

describe('a build from git', () => {
  test('is told where from, opens the credential once, and shows the commit', async () => {
    await connect({ auth: basic })
    await link({ ownerSlug: 'acme', provider: 'github', repositorySlug: 'shop' })
    const made = await build({ gitRef: 'release/1.x' })
    expect(made.status).toBe(201)
    const { id } = await made.json<Body>()
    const claim = await claimed(fixture, worker, id)
    const source = { kind: 'git', url: 'https://github.com/acme/shop', ref: 'release/1.x', auth: 'basic' }
    expect(claim.spec.source).toEqual(source)
    expect(claim.spec.variables).toMatchObject({ CI_GIT_REF: 'release/1.x' })
    const opened = await open(claim.lease.token)
    expect({ ...opened, text: JSON.parse(opened.text) as unknown }).toEqual({ status: 200, text: basic })
    expect((await open(claim.lease.token)).status).toBe(403)
    expect((await open(claim.lease.token, 'variables')).status).toBe(403)

    const report = { commitSha: 'c'.repeat(40), commitMessage: 'Mend the pier' }
    expect((await underLease(fixture, claim, 'source', report)).status).toBe(204)
    expect((await underLease(fixture, claim, 'source', { commitSha: '$(id)' })).status).toBe(422)
    const shown = await call('GET', `/v1/apps/${app.id}/builds/${id}`)
    expect(await shown.json()).toMatchObject({
      gitRef: 'release/1.x',
      gitCommitSha: 'c'.repeat(40),
      gitCommitMessage: 'Mend the pier',
    })
  })

  test('keeps its connection until it has ended', async () => {
    const { id: connectionId } = await (await connect({ auth: basic })).json<Body>()
    await link({ path: 'acme/shop', gitConnectionId: connectionId })
    const { jobId } = await (await build({ gitRef: 'main' })).json<{ jobId: string }>()
    const path = `/v1/organizations/${app.org.id}/git-connections/${connectionId}`
    await refused(call('DELETE', path), 409, 'git-connection-in-use')
    await call('PATCH', `/v1/jobs/${jobId}`, { status: 'canceled' })
    expect((await call('DELETE', path)).status).toBe(204)
    expect(await (await call('GET', `/v1/apps/${app.id}/repository`)).json()).toMatchObject({ gitConnectionId: null })
  })

  test('of a public repository needs no credential, and takes the default branch when none is named', async () => {
    await link({ url: 'https://code.example.com/acme/shop.git' })
    const { id } = await (await build({})).json<Body>()
    const claim = await claimed(fixture, worker, id)
    expect(claim.spec.source).toMatchObject({ ref: 'HEAD', auth: 'none' })
    expect((await open(claim.lease.token)).status).toBe(403)
  })

  test.each([
    '--orphan=x',
    '-b',
    'a..b',
    'x@{1}',
    'refs/heads/../../x',
    'a\0b',
    'a\nb',
    'a b',
    'x.lock',
    'a//b',
    '/a',
    'a/',
  ])('at the reference %j is refused', async (gitRef) => {
    await link({ url: 'https://code.example.com/acme/shop.git' })
    const answer = await build({ gitRef })
    expect(answer.status).toBe(422)
    expect(['git-ref-invalid', 'request-invalid']).toContain((await answer.json<Body>()).code)
    const rows = await withOrg(fixture.deps.db, app.org.id, (tx) =>
      tx.select().from(buildSources).where(eq(buildSources.appId, app.id)),
    )
    expect(rows).toEqual([])
  })
})

describe('a source at an address', () => {
  test('is ready at once, and the build is told to fetch it and compare it', async () => {
    const hash = sha256(sourceZip())
    const body = { fileUrl: 'https://files.example.com/app.zip?token=canary', sha256: hash }
    const announced = await call('POST', `/v1/apps/${app.id}/build-sources`, body, app.token)
    const source = await announced.json<Body>()
    expect(source).toMatchObject({ type: 'url', status: 'ready', fileUrl: 'https://files.example.com/app.zip' })
    const { id } = await (await build({ appBuildSourceId: source.id })).json<Body>()
    const claim = await claimed(fixture, worker, id)
    expect(claim.spec).toMatchObject({
      source: { kind: 'url', url: body.fileUrl, sha256: hash },
      cache: 'read',
    })
  })

  test.each(['http://files.example.com/a.zip', 'https://169.254.169.254/a.zip', 'file:///etc/passwd', 'ssh://a.b/c'])(
    '%s is refused',
    async (fileUrl) => {
      const answer = call('POST', `/v1/apps/${app.id}/build-sources`, { fileUrl }, app.token)
      await refused(answer, 422, 'source-address-refused')
    },
  )
})
