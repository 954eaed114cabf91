import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Failure } from '../src/failure.js'
import { identifyProcess, isRunning } from '../src/stack/identify-process.js'
import { saidReady } from '../src/stack/read-log.js'
import { SupervisedProcess } from '../src/stack/supervised-process.js'

let folder: string
let running: SupervisedProcess | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'supervised-'))
})
afterEach(async () => {
  await running?.stop(500)
  rmSync(folder, { recursive: true, force: true })
})

interface Seen {
  crashes: string[]
  started: number[]
  givenUp: Failure[]
}

function supervise(script: string): { child: SupervisedProcess; seen: Seen } {
  const seen: Seen = { crashes: [], started: [], givenUp: [] }
  const logFile = join(folder, 'child.log')
  const child = new SupervisedProcess(
    {
      name: 'child',
      command: process.execPath,
      args: ['-e', script],
      env: {},
      cwd: folder,
      logFile,
      isReady: (offset) => Promise.resolve(saidReady(logFile, offset)),
    },
    {
      onCrash: (message) => seen.crashes.push(message),
      onStarted: (_name, { pid }) => seen.started.push(pid),
      onGivenUp: (failure) => seen.givenUp.push(failure),
    },
  )
  running = child
  return { child, seen }
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 120_000
  while (!holds()) {
    if (Date.now() > deadline) throw new Error('it did not come about within two minutes')
    await sleep(20)
  }
}

const sayReady = `console.log('{"msg":"ready"}')`

test('a process counts as started once it says that it is ready', async () => {
  const { child } = supervise(`setTimeout(() => { ${sayReady} }, 300); setInterval(() => {}, 1000)`)
  const started = Date.now()
  await child.start()
  expect(Date.now() - started).toBeGreaterThan(250)
  expect(isRunning(identifyProcess(child.pid!))).toBe(true)
})

test('a process that ends before it is ready is named with its last words', async () => {
  const { child, seen } = supervise(`console.error('PORT is missing'); process.exit(78)`)
  await expect(child.start()).rejects.toThrow(/child ended before it was ready \(exit code 78\)[\s\S]*PORT is missing/)
  expect(seen.crashes).toEqual([])
})

test('a process that crashes is reported with its last words and runs again', async () => {
  const { child, seen } = supervise(`${sayReady}; console.log('last words'); setInterval(() => {}, 1000)`)
  await child.start()
  await until(() => readsLastWords())
  child.kill()
  await until(() => seen.started.length === 2 && child.pid === seen.started[1])
  expect(seen.crashes).toHaveLength(1)
  expect(seen.crashes[0]).toMatch(/child ended unexpectedly \(SIGKILL\)[\s\S]*last words/)
  expect(seen.started[1]).not.toBe(seen.started[0])
  await until(() => isRunning(identifyProcess(child.pid!)))

  function readsLastWords(): boolean {
    return readFileSync(join(folder, 'child.log'), 'utf8').includes('last words')
  }
})

test('a process that keeps crashing is given up', async () => {
  const { child, seen } = supervise(`${sayReady}; setTimeout(() => process.exit(3), 20)`)
  await child.start()
  await until(() => seen.givenUp.length === 1)
  expect(seen.givenUp[0]!.message).toMatch(/^child ended/)
  expect(seen.started.length).toBeGreaterThan(1)
})

test('a stopped process stays stopped, even when it ignores the request', async () => {
  const { child, seen } = supervise(`process.on('SIGTERM', () => {}); ${sayReady}; setInterval(() => {}, 1000)`)
  await child.start()
  const identity = identifyProcess(child.pid!)
  await child.stop(200)
  expect(isRunning(identity)).toBe(false)
  await sleep(600)
  expect(seen.started).toHaveLength(1)
  expect(seen.crashes).toEqual([])
})
