import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readConfig } from '../src/config.js'
import { isRunning, type ProcessIdentity } from '../src/stack/identify-process.js'
import { RecordedProcesses } from '../src/stack/recorded-processes.js'
import { startStack, type StackOptions } from '../src/stack/start-stack.js'
import { Teardown } from '../src/stack/teardown.js'
import { builderImage } from './builder-image.js'

let folder: string
let started: ProcessIdentity[]
const { add } = RecordedProcesses.prototype

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'failed-'))
  started = []
  RecordedProcesses.prototype.add = function note(name, identity) {
    started.push(identity)
    add.call(this, name, identity)
  }
})
afterEach(() => {
  RecordedProcesses.prototype.add = add
  rmSync(folder, { recursive: true, force: true })
})

const options = (): StackOptions => ({
  config: { ...readConfig(), databaseUrl: undefined, redisUrl: undefined, tempDir: folder },
  say: () => {},
  ports: 'free',
  builderImage: builderImage(),
})

test('a process that does not start is named with its reason, and nothing stays behind', async () => {
  const failing = startStack({ ...options(), overrides: { api: { PUBLIC_URL: 'nowhere' } } })
  await expect(failing).rejects.toThrow(/^api ended before it was ready \(exit code 78\)[\s\S]*PUBLIC_URL/)
  expect(started.length).toBeGreaterThan(2)
  expect(started.filter(isRunning)).toEqual([])
  expect(readdirSync(folder)).toEqual([])
}, 60_000)

test('a start that is interrupted half way undoes what it did', async () => {
  const teardown = new Teardown()
  const starting = startStack({ ...options(), teardown })
  const refused = expect(starting).rejects.toMatchObject({ exitCode: 130 })
  await expect.poll(() => started.length, { timeout: 20_000 }).toBeGreaterThan(1)
  await teardown.run()
  await refused
  expect(started.filter(isRunning)).toEqual([])
  expect(readdirSync(folder)).toEqual([])
}, 60_000)
