import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { keystore, keystoreBytes, storePassword } from './keystore-fixtures.js'
import { AppleAuthority } from './apple-authority.js'
import { storeApp } from './leased-build.js'
import { type OfficialCli, startOfficialCli } from './official-cli.js'
import { chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

let fixture: Fixture
let broker: TestBroker
let org: TestOrganization
let cli: OfficialCli
let appId: string
let apple: AppleAuthority

beforeAll(async () => {
  apple = await AppleAuthority.create()
  const sockets = await chooseSockets()
  const appleRoots = [await apple.fingerprint('root')]
  fixture = await createFixture({ sealSocket: sockets.sealSocket, overrides: { appleRoots } })
  broker = await startTestBroker(fixture, sockets)
  org = await fixture.createOrganization()
  appId = await storeApp(fixture, org.id)
  cli = await startOfficialCli(fixture, org.tokens.admin)
  for (const name of ['rsa.p12', 'two.jks', 'jceks.jceks']) await writeFile(join(cli.folder, name), keystoreBytes(name))
})
afterAll(async () => {
  await cli[Symbol.asyncDispose]()
  await broker[Symbol.asyncDispose]()
  await fixture[Symbol.asyncDispose]()
  await apple[Symbol.asyncDispose]()
})

const certificates = (command: string, ...args: string[]) =>
  cli.run(`apps:certificates:${command}`, '--app-id', appId, ...args)
const create = (file: string, name: string, ...args: string[]) =>
  certificates('create', '--file', file, '--name', name, '--platform', 'android', '--yes', ...args)

test('the official CLI uploads, lists, shows, renames and deletes a keystore', async () => {
  const created = await create('rsa.p12', 'Play', '--password', storePassword, '--key-alias', 'upload', '--json')
  expect(created).toMatchObject({ code: 0 })
  const { id } = JSON.parse(/\{[^}]+\}/.exec(created.output)?.[0] ?? '{}') as { id: string }

  const listed = await certificates('list', '--json')
  expect(listed.code).toBe(0)
  expect(listed.output).toContain(id)
  const shown = await certificates('get', '--name', 'play', '--platform', 'android', '--json')
  expect(shown.code).toBe(0)
  expect(shown.output).toContain(keystore('rsa.p12').sha256[0])
  expect(shown.output + listed.output).not.toContain(storePassword)

  const renamed = await certificates('update', '--certificate-id', id, '--name', 'Play Store')
  expect(renamed).toMatchObject({ code: 0 })
  const refused = await certificates('update', '--certificate-id', id, '--password', 'another')
  expect(refused.code).toBe(1)
  expect(refused.output).toContain('upload the keystore again')

  const deleted = await certificates('delete', '--name', 'Play Store', '--platform', 'android', '--yes')
  expect(deleted).toMatchObject({ code: 0 })
  expect((await certificates('get', '--certificate-id', id)).code).toBe(1)
})

test('the official CLI prints what is wrong with a keystore and what to do', async () => {
  const wrong = await create('rsa.p12', 'A', '--password', 'nope-nope', '--key-alias', 'upload')
  expect([wrong.code, wrong.output]).toEqual([1, expect.stringContaining('The keystore password is wrong.')])
  const alias = await create('two.jks', 'A', '--password', storePassword, '--key-alias', 'three')
  expect([alias.code, alias.output]).toEqual([1, expect.stringContaining('It has: "one", "two".')])
  const format = await create('jceks.jceks', 'A', '--password', storePassword, '--key-alias', 'upload')
  expect([format.code, format.output]).toEqual([1, expect.stringContaining('keytool -importkeystore')])
})

test('the official CLI uploads an Apple identity with its profiles and links them', async () => {
  await apple.identity('store')
  await writeFile(join(cli.folder, 'store.p12'), await apple.p12('store', 'p12-password', '-legacy'))
  for (const [name, target] of [
    ['app', 'com.example.app'],
    ['widget', 'com.example.app.widget'],
  ] as const) {
    await writeFile(
      join(cli.folder, `${name}.mobileprovision`),
      await apple.profile({ certificates: ['store'], target }),
    )
  }
  const profiles = ['--provisioning-profile', 'app.mobileprovision', '--provisioning-profile', 'widget.mobileprovision']
  const identity = ['--file', 'store.p12', '--name', 'Store', '--platform', 'ios', '--password', 'p12-password']
  const created = await certificates('create', ...identity, ...profiles, '--yes', '--json')
  expect(created).toMatchObject({ code: 0 })
  const { id } = JSON.parse(/\{[^}]+\}/.exec(created.output)?.[0] ?? '{}') as { id: string }
  const token = org.tokens.viewer
  const listed = await fixture.request('GET', `/v1/apps/${appId}/provisioning-profiles?appCertificateId=${id}`, {
    token,
  })
  const names = (await listed.json<{ applicationIdentifier: string }[]>()).map((item) => item.applicationIdentifier)
  expect(names.toSorted()).toEqual(['TEAM123456.com.example.app', 'TEAM123456.com.example.app.widget'])

  const wrong = await certificates('create', ...identity.with(3, 'Other').with(7, 'nope'), '--yes')
  expect([wrong.code, wrong.output]).toEqual([1, expect.stringContaining('The keystore password is wrong.')])
  const web = ['--file', 'store.p12', '--name', 'Web', '--platform', 'web', '--yes']
  const refused = await certificates('create', ...web)
  expect([refused.code, refused.output]).toEqual([1, expect.stringContaining('The private key stays with you')])
})
