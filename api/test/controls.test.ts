import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createApp } from '../src/app.js'
import { ApiConfig } from '../src/config.js'
import { operatorFacts } from '../src/operator/operator-facts.js'
import { createFixture, type Fixture } from './fixture.js'

const DAY = 86_400_000
const settings = {
  PUBLIC_URL: 'http://127.0.0.1:4400',
  TOKEN_PEPPER_FILE: '/x',
  BROKER_SEAL_SOCKET: '/x',
  DATABASE_URL: 'postgres://capstan_api:hunter2@db.internal.example:5432/capstan',
  DATABASE_PASSWORD_FILE: '/run/secrets/database',
  REDIS_URL: 'redis://worker:hunter3@queue.internal.example:6379',
  S3_BUCKET: 'secret-bucket-name',
  AWS_REGION: 'eu-central-1',
  KMS_KEY_ID: 'arn:aws:kms:eu-central-1:123456789012:key/hunter4',
  DATA_REGION: 'eu-central-1',
  SECURITY_CONTACTS: 'mailto:security@example.test, https://example.test/report',
  SECURITY_EXPIRES: new Date(Date.now() + 100 * DAY).toISOString(),
  SECURITY_POLICY_URL: 'https://example.test/policy',
}

let fixture: Fixture
let now = new Date()

beforeAll(async () => {
  fixture = await createFixture()
})
afterAll(() => fixture[Symbol.asyncDispose]())

function ask(path: string, headers: Record<string, string> = {}, from: Record<string, string> = settings) {
  const operator = operatorFacts(ApiConfig.parse(from))
  return createApp({ ...fixture.deps, operator, now: () => now }).request(path, { headers })
}

describe('the controls', () => {
  test('are there for anybody, each with its state, and what is in place with its proof', async () => {
    const answer = await ask('/v1/controls')
    expect(answer.status).toBe(200)
    const { certificates, controls } = (await answer.json()) as { certificates: string[]; controls: object[] }
    expect(certificates).toEqual([])
    expect(controls.length).toBeGreaterThan(40)
    expect(controls).toContainEqual(expect.objectContaining({ id: 'CW-4.1', state: 'planned' }))
    expect(controls).toContainEqual(expect.objectContaining({ id: 'CP-2.6', state: 'in_place', cases: ['D01', 'D02'] }))
  })

  test('are a page for a browser, which runs nothing', async () => {
    const answer = await ask('/v1/controls', { accept: 'text/html,*/*' })
    expect(answer.headers.get('content-type')).toContain('text/html')
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
    const page = await answer.text()
    expect(page).toContain('In place (')
    expect(page).toContain('attack case D03')
    expect(page).toContain('No certificate')
    expect(page).not.toContain('<script')
  })
})

describe('the list of sub-processors', () => {
  test('names the hosts that are configured, and no secret of them', async () => {
    const text = await (await ask('/.well-known/subprocessors.json')).text()
    const { region, processors } = JSON.parse(text)
    expect(region).toBe('eu-central-1')
    expect(processors.map(({ host }: { host: string }) => host)).toEqual([
      'db.internal.example',
      'queue.internal.example',
      's3.eu-central-1.amazonaws.com',
      'kms.eu-central-1.amazonaws.com',
    ])
    for (const secret of ['hunter', 'capstan_api', 'secret-bucket-name', '123456789012', '/run/secrets']) {
      expect(text).not.toContain(secret)
    }
  })

  test('changes with the configuration', async () => {
    const elsewhere = { ...settings, S3_ENDPOINT: 'https://objects.example.net:9000' }
    const answer = await ask('/.well-known/subprocessors.json', {}, elsewhere)
    const { processors } = (await answer.json()) as { processors: object[] }
    expect(processors).toContainEqual(expect.objectContaining({ service: 'S3', host: 'objects.example.net' }))
  })
})

describe('the data policy', () => {
  test('says that data is used for nothing else, and where it is kept', async () => {
    expect(await (await ask('/v1/data-policy')).json()).toEqual({
      dataUse: 'none',
      telemetryToMaker: 'none',
      region: 'eu-central-1',
    })
  })

  test('does not start with a bucket in another region than the one it names', () => {
    expect(ApiConfig.safeParse(settings).success).toBe(true)
    expect(ApiConfig.safeParse({ ...settings, AWS_REGION: 'us-east-1' }).error?.issues[0]?.message).toContain(
      'DATA_REGION',
    )
  })
})

describe('security.txt', () => {
  test('is served as configured, and not once it has expired', async () => {
    const answer = await ask('/.well-known/security.txt')
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain/)
    expect((await answer.text()).trim().split('\n')).toEqual([
      'Contact: mailto:security@example.test',
      'Contact: https://example.test/report',
      `Expires: ${settings.SECURITY_EXPIRES}`,
      'Policy: https://example.test/policy',
      'Canonical: http://capstan.test/.well-known/security.txt',
    ])
    now = new Date(Date.now() + 101 * DAY)
    expect((await ask('/.well-known/security.txt')).status).toBe(404)
    now = new Date()
  })

  test('is not made up where nothing is configured', async () => {
    expect((await fixture.request('GET', '/.well-known/security.txt')).status).toBe(404)
  })

  test.each([
    ['a contact that is no address', { SECURITY_CONTACTS: 'security@example.test' }],
    ['a contact with a line of its own', { SECURITY_CONTACTS: 'mailto:a@b.test\nContact: mailto:evil@b.test' }],
    ['an end in the past', { SECURITY_EXPIRES: new Date(Date.now() - DAY).toISOString() }],
    ['an end far ahead', { SECURITY_EXPIRES: new Date(Date.now() + 400 * DAY).toISOString() }],
    ['contacts without an end', { SECURITY_EXPIRES: undefined }],
    ['a policy in clear', { SECURITY_POLICY_URL: 'http://example.test/policy' }],
  ])('with %s does not start', (_what, change) => {
    expect(ApiConfig.safeParse({ ...settings, ...change }).success).toBe(false)
  })
})
