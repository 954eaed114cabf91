import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { keystore, keystoreBytes, storePassword } from './keystore-fixtures.js'
import { storeApp } from './leased-build.js'
import { type OfficialCli, startOfficialCli } from './official-cli.js'
import { chooseSockets, startTestBroker, type TestBroker } from './test-broker.js'

let fixture: Fixture
let broker: TestBroker
let org: TestOrganization
let cli: OfficialCli
let appId: string

beforeAll(async () => {
  const sockets = await chooseSockets()
  fixture = await createFixture({ sealSocket: sockets.sealSocket })
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
}, 120_000)

test('the official CLI prints what is wrong with a keystore and what to do', async () => {
  const wrong = await create('rsa.p12', 'A', '--password', 'nope-nope', '--key-alias', 'upload')
  expect([wrong.code, wrong.output]).toEqual([1, expect.stringContaining('The keystore password is wrong.')])
  const alias = await create('two.jks', 'A', '--password', storePassword, '--key-alias', 'three')
  expect([alias.code, alias.output]).toEqual([1, expect.stringContaining('It has: "one", "two".')])
  const format = await create('jceks.jceks', 'A', '--password', storePassword, '--key-alias', 'upload')
  expect([format.code, format.output]).toEqual([1, expect.stringContaining('keytool -importkeystore')])
}, 120_000)
