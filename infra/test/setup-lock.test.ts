import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'

const lockModule = fileURLToPath(new URL('../dev/setup-lock.mjs', import.meta.url))
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Holds the lock for a while and writes down when it entered and left. */
function contender(log: string, holdMs: number) {
  const script = `
    import { appendFileSync } from 'node:fs'
    import { withSetupLock } from ${JSON.stringify(lockModule)}
    await withSetupLock(${JSON.stringify(folder)}, async () => {
      appendFileSync(${JSON.stringify(log)}, 'in\\n')
      await new Promise((resolve) => setTimeout(resolve, ${holdMs}))
      appendFileSync(${JSON.stringify(log)}, 'out\\n')
    })`
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
}

test('four set-ups of one checkout enter one after the other', async () => {
  const log = join(folder, 'log')
  const ends = await Promise.all([1, 2, 3, 4].map(() => once(contender(log, 150), 'exit')))
  expect(ends.map(([code]) => code)).toEqual([0, 0, 0, 0])
  expect(readFileSync(log, 'utf8')).toBe('in\nout\n'.repeat(4))
  expect(existsSync(join(folder, 'setup.lock'))).toBe(false)
})

test('a lock left by a killed set-up is broken', async () => {
  const log = join(folder, 'log')
  const killed = contender(log, 60_000)
  while (!existsSync(log)) await new Promise((resolve) => setTimeout(resolve, 20))
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  expect(existsSync(join(folder, 'setup.lock'))).toBe(true)
  const [code] = await once(contender(log, 1), 'exit')
  expect(code).toBe(0)
  expect(readFileSync(log, 'utf8')).toBe('in\nin\nout\n')
})

test.runIf(process.platform === 'linux')('a lock whose process id was given to another process is broken', async () => {
  writeFileSync(join(folder, 'setup.lock'), `${process.pid} 1`)
  const log = join(folder, 'log')
  const [code] = await once(contender(log, 1), 'exit')
  expect(code).toBe(0)
})
