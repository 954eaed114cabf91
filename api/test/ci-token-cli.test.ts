import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { storeApp } from './leased-build.js'
import { startOfficialCli } from './official-cli.js'
import { startTokenIssuer, type TokenIssuer } from './token-issuer.js'

const bin = fileURLToPath(new URL('../../sdk/bin/capstan.js', import.meta.url))
const run = promisify(execFile)

let issuer: TokenIssuer
let fixture: Fixture
let org: TestOrganization

beforeAll(async () => {
  issuer = await startTokenIssuer()
  fixture = await createFixture({ overrides: { outboundPrivateHosts: [issuer.host] } })
  org = await fixture.createOrganization()
})
afterAll(async () => {
  await fixture[Symbol.asyncDispose]()
  await issuer[Symbol.asyncDispose]()
})

test('a CI job gets a token with the capstan command, and the official CLI works with it', async () => {
  const appId = await storeApp(fixture, org.id)
  await using server = await startOfficialCli(fixture, 'ca_none')
  const owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })).token
  const created = await fixture.request('POST', `/v1/organizations/${org.id}/trust-policies`, {
    token: owner,
    body: {
      name: 'deploy',
      issuer: issuer.url,
      claims: { repository_id: '4711' },
      scopes: ['apps:read', 'channels:read', 'channels:write'],
    },
  })
  const policy = await created.json<{ id: string; audience: string }>()
  expect(policy.audience).toBe(server.url)

  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: issuer.url, aud: server.url, sub: 'job', jti: 'job-1', iat: now, exp: now + 300 }
  const idToken = join(fixture.folder, 'id-token')
  const apiToken = join(fixture.folder, 'api-token')
  await writeFile(idToken, await issuer.sign({ ...claims, repository_id: '4711' }))
  const args = [bin, 'ci-token', '--policy', policy.id, '--server', server.url, '--id-token-file', idToken]
  await run(process.execPath, [...args, '--out', apiToken])
  await expect(run(process.execPath, args)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('exchanged before'),
  })

  await using cli = await startOfficialCli(fixture, await readFile(apiToken, 'utf8'))
  const made = await cli.run('apps:channels:create', '--app-id', appId, '--name', 'from-ci')
  expect(made).toMatchObject({ code: 0 })
  const listed = await cli.run('apps:channels:list', '--app-id', appId, '--json')
  expect(listed.output).toContain('from-ci')
  const refused = await cli.run('apps:delete', '--app-id', appId, '--yes')
  expect(refused.code).not.toBe(0)
  expect(refused.output).toContain('apps:write')
})
