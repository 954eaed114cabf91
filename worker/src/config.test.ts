import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError, readConfig } from './config.js'

const folder = mkdtempSync(join(tmpdir(), 'capstan-config-'))
const file = (name: string, content: string) => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}
const token = `cw_${'A'.repeat(36)}`
const complete = {
  REDIS_URL: 'redis://127.0.0.1:6379',
  REDIS_USERNAME: 'worker',
  REDIS_PASSWORD_FILE: file('redis', 'redis-password\n'),
  API_URL: 'http://127.0.0.1:4400/',
  WORKER_TOKEN_FILE: file('token', `${token}\n`),
  WORKER_NAME: 'worker-1',
  BROKER_OPEN_SOCKET: '/run/open.sock',
  BUILDER_IMAGE: 'capstan-builder:1',
  STACK_ID: 'demo',
}

afterAll(() => rmSync(folder, { recursive: true }))

test('a complete environment is read, secrets apart from settings', () => {
  const { config, secrets } = readConfig(complete)
  expect(config).toMatchObject({ apiUrl: 'http://127.0.0.1:4400', concurrency: 2, heartbeatMs: 3_000 })
  expect(config.dockerHost).toBe('unix:///var/run/docker.sock')
  expect(secrets).toEqual({ workerToken: token, redisPassword: 'redis-password' })
  expect(JSON.stringify(config)).not.toContain(token)
})

test.each([
  'REDIS_URL',
  'API_URL',
  'WORKER_TOKEN_FILE',
  'WORKER_NAME',
  'BROKER_OPEN_SOCKET',
  'BUILDER_IMAGE',
  'STACK_ID',
])('without %s it says which setting is missing', (name) => {
  expect(() => readConfig({ ...complete, [name]: '' })).toThrow(new ConfigError(`${name} is not set.`))
})

test.each([
  [{ API_URL: 'ftp://x' }, /^API_URL is not valid/],
  [{ WORKER_NAME: 'a b' }, /^WORKER_NAME is not valid/],
  [{ WORKER_CONCURRENCY: '0' }, /^WORKER_CONCURRENCY is not valid/],
  [{ DOCKER_HOST: 'ssh://host' }, /^DOCKER_HOST is not valid/],
  [{ WORKER_TOKEN_FILE: join(folder, 'absent') }, /^WORKER_TOKEN_FILE names a file that cannot be read \(ENOENT\)\.$/],
  [{ WORKER_TOKEN_FILE: file('other', 'ca_something') }, /^WORKER_TOKEN_FILE does not hold a worker token/],
  [{ EXTRA_CA_FILE: file('ca', 'no certificate') }, /^EXTRA_CA_FILE does not hold a PEM certificate\.$/],
])('%j is refused with a sentence', (setting, message) => {
  expect(() => readConfig({ ...complete, ...setting })).toThrow(message)
})

test('hosts that builds may call come from a list that can hold the built-in one', () => {
  const hosts = (env: Record<string, string>) => readConfig({ ...complete, ...env }).config.hostPolicy
  const names = ({ allowed }: ReturnType<typeof hosts>) =>
    allowed === 'any' ? allowed : allowed.map(({ name }) => name)
  expect(names(hosts({}))).toContain('registry.npmjs.org')
  expect(names(hosts({ EGRESS_HOSTS: 'default, npm.example.com' }))).toContain('registry.npmjs.org')
  expect(names(hosts({ EGRESS_HOSTS: 'npm.example.com' }))).toEqual(['npm.example.com'])
  expect(names(hosts({ EGRESS_HOSTS: 'none' }))).toEqual([])
  expect(names(hosts({ EGRESS_HOSTS: '*' }))).toBe('any')
  expect(hosts({ EGRESS_PRIVATE_HOSTS: 'npm.intern:4873' }).privateAllowed).toMatchObject([{ ports: [4873] }])
  expect(hosts({ EGRESS_APP_HOSTS: 'ignore' }).appHostsCount).toBe(false)
})

test.each(['https://npm.example.com', 'a b', '*,npm.example.com', 'x:0'])('EGRESS_HOSTS %j is refused', (list) => {
  expect(() => readConfig({ ...complete, EGRESS_HOSTS: list })).toThrow(/^EGRESS_HOSTS has .+ not a host name\.$/)
})
