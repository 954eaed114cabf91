import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { builderImage, dockerHost } from './build-bench.js'
import { workerToken } from './protocol-server.js'

const folder = mkdtempSync(join(tmpdir(), 'capstan-worker-'))
const tokenFile = join(folder, 'token')
writeFileSync(tokenFile, workerToken, { mode: 0o600 })
const main = join(
  dirname(createRequire(import.meta.url).resolve('@capstan/worker/in-container/unpack-source')),
  '..',
  'main.js',
)

const environment = {
  REDIS_URL: process.env['TEST_REDIS_URL'],
  API_URL: 'http://127.0.0.1:9',
  WORKER_TOKEN_FILE: tokenFile,
  WORKER_NAME: `worker-${randomUUID()}`,
  BROKER_OPEN_SOCKET: join(folder, 'open.sock'),
  BUILDER_IMAGE: builderImage(),
  STACK_ID: `test-${randomUUID()}`,
  DOCKER_HOST: dockerHost,
}

type Running = { child: ChildProcess; stdout: () => string; stderr: () => string; exited: Promise<unknown[]> }

function start(settings: Record<string, string | undefined>): Running {
  const child = spawn(process.execPath, [main], { env: { PATH: process.env['PATH'], ...settings }, stdio: 'pipe' })
  const printed = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) child[name].on('data', (chunk) => (printed[name] += String(chunk)))
  return { child, stdout: () => printed.stdout, stderr: () => printed.stderr, exited: once(child, 'exit') }
}

afterAll(() => rmSync(folder, { recursive: true }))

test('it says that it is ready, and stops cleanly', async () => {
  const worker = start(environment)
  await expect.poll(worker.stdout).toContain('"msg":"ready"')
  for (const line of worker.stdout().trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ name: 'worker' })
  expect(worker.stdout()).not.toContain(workerToken)
  // A crash dump of it has none of its memory.
  expect(readFileSync(`/proc/${worker.child.pid}/coredump_filter`, 'latin1').trim()).toBe('00000000')
  worker.child.kill('SIGTERM')
  expect(await worker.exited).toEqual([0, null])
})

test('without a container engine it is ready all the same', async () => {
  const worker = start({ ...environment, DOCKER_HOST: `unix://${folder}/absent.sock` })
  await expect.poll(worker.stdout).toContain('"msg":"ready"')
  worker.child.kill('SIGINT')
  expect(await worker.exited).toEqual([0, null])
})

test('it stops cleanly while it still waits for Redis', async () => {
  const worker = start({ ...environment, REDIS_URL: 'redis://127.0.0.1:9' })
  await expect.poll(worker.stdout).toContain('redis trouble')
  worker.child.kill('SIGTERM')
  expect(await worker.exited).toEqual([0, null])
})

test.each([
  ['a missing setting', { API_URL: undefined }, 'worker: API_URL is not set.\n'],
  [
    'a builder image that is not there',
    { BUILDER_IMAGE: 'capstan-no-such-image:1' },
    /^worker: BUILDER_IMAGE: .*capstan-no-such-image:1 is not on this worker\.\n$/,
  ],
  [
    'a builder image that is not on the list',
    { BUILDER_IMAGE_DIGESTS: `sha256:${'0'.repeat(64)}` },
    /^worker: BUILDER_IMAGE: .+ is not on BUILDER_IMAGE_DIGESTS\.\n$/,
  ],
  [
    'a runtime that the engine does not have',
    { CONTAINER_RUNTIME: 'no-such-runtime' },
    /^worker: CONTAINER_RUNTIME no-such-runtime is not a runtime of the container engine\.\n$/,
  ],
])('%s stops it with one sentence and exit code 78', async (_, setting, sentence) => {
  const worker = start({ ...environment, ...setting })
  expect(await worker.exited).toEqual([78, null])
  expect(worker.stderr()).toMatch(sentence)
})
