import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { reportStep } from './report-step.js'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

test('a long step is reported while it runs, with its time and last line, and once at its end', async () => {
  const lines: string[] = []
  const result = await reportStep(
    (line) => lines.push(line),
    'web image',
    async (onLine) => {
      onLine('Unpacking git')
      await vi.advanceTimersByTimeAsync(20_500)
      return 7
    },
  )
  expect(result).toBe(7)
  expect(lines).toEqual([
    'builder images: web image …',
    'builder images: web image … 10.0 s  Unpacking git',
    'builder images: web image … 20.0 s  Unpacking git',
    'builder images: web image done in 20.5 s',
  ])
})

test('a failed step says so and passes the failure on', async () => {
  const lines: string[] = []
  const failing = reportStep(
    (line) => lines.push(line),
    'web image',
    () => Promise.reject(new Error('no space')),
  )
  await expect(failing).rejects.toThrow('no space')
  expect(lines).toEqual(['builder images: web image …', 'builder images: web image failed after 0.0 s'])
})
