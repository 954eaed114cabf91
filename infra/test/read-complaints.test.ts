import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readComplaints } from '../src/stack/read-complaints.js'

let logs: string

beforeEach(() => {
  logs = mkdtempSync(join(tmpdir(), 'logs-'))
})
afterEach(() => rmSync(logs, { recursive: true, force: true }))

const write = (name: string, ...lines: unknown[]): void =>
  writeFileSync(
    join(logs, name),
    lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n'),
  )

test('warnings and errors are told with their cause; what went well is not', () => {
  write(
    'worker.log',
    { level: 30, msg: 'ready' },
    { level: 40, msg: 'the build did not succeed', err: { message: 'no space' } },
  )
  write('api.log', { level: 50, msg: 'request failed' }, { level: 30, msg: 'stopped' })
  expect(readComplaints(logs)).toEqual(['api said: request failed', 'worker said: the build did not succeed: no space'])
})

test('each process has the last five', () => {
  write('worker.log', ...Array.from({ length: 9 }, (_, index) => ({ level: 40, msg: `warning ${index}` })))
  expect(readComplaints(logs)).toEqual([4, 5, 6, 7, 8].map((index) => `worker said: warning ${index}`))
})

test('lines that are no JSON, and logs that are not there, are passed over', () => {
  write('postgres.log', 'FATAL: the database system is starting up', 'null', '"text"', '[40]')
  expect(readComplaints(logs)).toEqual([])
  expect(readComplaints(join(logs, 'absent'))).toEqual([])
})
