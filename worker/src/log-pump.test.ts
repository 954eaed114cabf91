import type { LogBatch } from '@capstan/migrations/messages'
import { LogBatch as LogBatchSchema } from '@capstan/migrations/messages'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { LogPumpOptions } from './log-pump.js'
import { LogPump } from './log-pump.js'
import { SecretSet } from './mask.js'

function openPump(options: Partial<LogPumpOptions> = {}) {
  const batches: LogBatch[] = []
  const refusals: unknown[] = []
  const pump = new LogPump({
    secrets: new SecretSet(),
    send: async (batch) => void batches.push(LogBatchSchema.parse(batch)),
    onRefused: (error) => refusals.push(error),
    batchMs: 10,
    ...options,
  })
  const texts = () => batches.flatMap(({ lines }) => lines.map(({ text }) => text))
  const end = async () => {
    const last = await pump.takeLast()
    if (last) batches.push(LogBatchSchema.parse(last))
  }
  return { pump, batches, refusals, texts, end }
}

test('lines arrive soon, in order, with their phase, in batches counted from one', async () => {
  const { pump, batches, texts, end } = openPump()
  const stream = pump.openStream('install')
  stream.write(Buffer.from('one\ntwo\n'))
  await expect.poll(texts).toEqual(['one', 'two'])
  pump.note('build-web', 'three')
  stream.end()
  await end()
  expect(batches.map(({ batch }) => batch)).toEqual([1, 2])
  expect(batches.flatMap(({ lines }) => lines.map(({ phase }) => phase))).toEqual(['install', 'install', 'build-web'])
})

test('batches keep to their size', async () => {
  const { pump, batches, texts, end } = openPump({ batchBytes: 1_000 })
  const stream = pump.openStream('install')
  for (let n = 0; n < 100; n++) stream.write(Buffer.from(`${n} ${'x'.repeat(95)}\n`))
  await end()
  expect(texts()).toHaveLength(100)
  for (const { lines } of batches) {
    expect(lines.reduce((sum, { text }) => sum + text.length, 0)).toBeLessThanOrEqual(1_000)
  }
})

test('what fills batches does not wait for a clock', async () => {
  const { pump, texts, end } = openPump({ batchBytes: 1_000, batchMs: 600_000 })
  const stream = pump.openStream('install')
  stream.write(Buffer.from(`${'x'.repeat(99)}\n`.repeat(100)))
  await expect.poll(() => texts().length).toBeGreaterThan(90)
  await end()
  expect(texts()).toHaveLength(100)
})

test('many short lines are split at the protocol’s limit', async () => {
  const { pump, batches, end } = openPump()
  const stream = pump.openStream('install')
  stream.write(Buffer.from('x\n'.repeat(2_500)))
  await end()
  expect(batches.map(({ lines }) => lines.length)).toEqual([1_000, 1_000, 500])
})

test('one batch is on its way at a time, and lines wait for a slow API', async () => {
  let sending = 0
  let most = 0
  const { pump, texts, end } = openPump()
  const slow = openPump({
    send: async () => {
      sending += 1
      most = Math.max(most, sending)
      await sleep(30)
      sending -= 1
    },
  })
  for (const target of [pump, slow.pump]) for (let n = 0; n < 5; n++) target.note('install', `line ${n}`)
  await sleep(15)
  slow.pump.note('install', 'later')
  await Promise.all([end(), slow.end()])
  expect(most).toBe(1)
  expect(texts()).toHaveLength(5)
})

test('the log of a build ends at its limit, and says so once', async () => {
  const { pump, texts, end } = openPump({ buildBytes: 2_048 })
  for (let n = 0; n < 500; n++) pump.note('install', `line ${n} of many`)
  await end()
  expect(texts().at(-1)).toBe('The log reached its limit of 2 KiB; what follows is not kept.')
  expect(texts().filter((text) => text.includes('limit'))).toHaveLength(1)
  expect(pump.tail('install').at(-1)).toBe('line 499 of many')
})

test('lines without text reach the limit too', async () => {
  const { pump, texts, end } = openPump({ buildBytes: 2_048 })
  const stream = pump.openStream('install')
  stream.write(Buffer.from('\n'.repeat(500)))
  await end()
  expect(texts()).toHaveLength(21)
  expect(texts().at(-1)).toBe('The log reached its limit of 2 KiB; what follows is not kept.')
})

test('a refusal ends the log and is told once', async () => {
  const { pump, refusals, batches, end } = openPump({ send: () => Promise.reject(new Error('refused')) })
  pump.note('install', 'one')
  await expect.poll(() => refusals).toHaveLength(1)
  pump.note('install', 'two')
  await end()
  expect(refusals).toHaveLength(1)
  expect(batches).toEqual([])
})

test('stdout and stderr are masked and split each for itself', async () => {
  const secrets = new SecretSet()
  secrets.add('opensesame')
  const { pump, texts, end } = openPump({ secrets })
  const [stdout, stderr] = [pump.openStream('install'), pump.openStream('install')]
  stdout.write(Buffer.from('say open'))
  stderr.write(Buffer.from('warning\n'))
  stdout.write(Buffer.from('sesame\n'))
  stdout.end()
  stderr.end()
  pump.note('install', 'the worker says opensesame')
  await end()
  expect(texts()).toEqual(['warning', 'say ***', 'the worker says ***'])
})

test.each([
  ['long lines', 'x'.repeat(16_000), 2_400],
  ['lines without text', '', 350_000],
])('while the API takes nothing, %s are made to wait instead of being held without end', async (_, line, count) => {
  const back = new AbortController()
  const send = async () => {
    while (!back.signal.aborted) await sleep(5)
  }
  const { pump, end } = openPump({ send, buildBytes: 128 << 20 })
  const never = new AbortController()
  await pump.room(never.signal)
  for (let n = 0; n < count; n++) pump.note('install', line)
  let hasRoom = false
  const waiting = pump.room(never.signal).then(() => (hasRoom = true))
  await sleep(50)
  expect(hasRoom).toBe(false)
  const stopped = new AbortController()
  const other = pump.room(stopped.signal)
  stopped.abort()
  await other
  expect(hasRoom).toBe(false)
  back.abort()
  await waiting
  await end()
})
