import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readConfig } from '../src/config.js'
import { startStack, type StackOptions } from '../src/stack/start-stack.js'
import { Teardown } from '../src/stack/teardown.js'
import { builderImage } from './builder-image.js'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'failed-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const options = (): StackOptions => ({
  config: { ...readConfig(), databaseUrl: undefined, redisUrl: undefined, tempDir: folder },
  say: () => {},
  ports: 'free',
  builderImage: builderImage(),
})

/** Processes of this machine that work inside the folder. */
function processesInFolder(): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`).startsWith(folder)
    } catch {
      return false
    }
  })
}

describe.runIf(process.platform === 'linux')('a start that does not come about', () => {
  test('names the process and its reason, and leaves nothing behind', async () => {
    const failing = startStack({ ...options(), overrides: { api: { PUBLIC_URL: 'nowhere' } } })
    const refused = expect(failing).rejects.toThrow(/^api ended before it was ready \(exit code 78\)[\s\S]*PUBLIC_URL/)
    await expect.poll(() => processesInFolder().length).toBeGreaterThan(1)
    await refused
    expect(processesInFolder()).toEqual([])
    expect(readdirSync(folder)).toEqual([])
  })

  test('undoes what it did when it is interrupted half way', async () => {
    const teardown = new Teardown()
    const starting = startStack({ ...options(), teardown })
    const refused = expect(starting).rejects.toMatchObject({ exitCode: 130 })
    await expect.poll(() => processesInFolder().length).toBeGreaterThan(1)
    await teardown.run()
    await refused
    expect(processesInFolder()).toEqual([])
    expect(readdirSync(folder)).toEqual([])
  })
})
