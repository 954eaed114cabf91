import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { identifyProcess, isRunning } from '../src/stack/identify-process.js'
import { RecordedProcesses } from '../src/stack/recorded-processes.js'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'recorded-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function idleProcess() {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  await once(child, 'spawn')
  return { child, identity: identifyProcess(child.pid!) }
}

async function deadProcess() {
  const { child, identity } = await idleProcess()
  child.kill('SIGKILL')
  await once(child, 'exit')
  return identity
}

const record = (content: object): void => writeFileSync(join(folder, 'processes.json'), JSON.stringify(content))

test('a data folder that a live run holds is refused', async () => {
  const { child, identity } = await idleProcess()
  record({ runner: identity, processes: {} })
  await expect(new RecordedProcesses(folder).take()).rejects.toThrow(
    `Capstan already runs on this data folder (process ${identity.pid}). Stop it first with Ctrl-C.`,
  )
  child.kill('SIGKILL')
})

test('what a killed run left behind is stopped, and nothing else', async () => {
  const leftover = await idleProcess()
  const stranger = await idleProcess()
  const runner = await deadProcess()
  // The stranger has the process id that a process of the killed run once had.
  const reused = { pid: stranger.identity.pid, started: '1' }
  record({ runner, processes: { api: leftover.identity, worker: reused } })
  const processes = new RecordedProcesses(folder)
  await processes.take()
  expect(isRunning(leftover.identity)).toBe(false)
  expect(isRunning(stranger.identity)).toBe(true)
  stranger.child.kill('SIGKILL')
})

test('a run writes down its processes and forgets them at the end', async () => {
  const processes = new RecordedProcesses(folder)
  await processes.take()
  processes.add('api', { pid: 4711, started: '5' })
  const written = JSON.parse(readFileSync(join(folder, 'processes.json'), 'utf8')) as object
  expect(written).toEqual({ runner: identifyProcess(process.pid), processes: { api: { pid: 4711, started: '5' } } })
  expect(processes.pids()).toEqual({ api: 4711 })
  processes.release()
  expect(existsSync(join(folder, 'processes.json'))).toBe(false)
})
