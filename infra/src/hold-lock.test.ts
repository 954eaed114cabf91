import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { holdLock } from './hold-lock.js'

describe('holdLock', () => {
  test('lets one run work at a time and returns what each made', async () => {
    const name = `capstan-lock-test-${randomUUID()}`
    let working = 0
    let most = 0
    const work = async (result: number) => {
      most = Math.max(most, ++working)
      await delay(30)
      working--
      return result
    }
    const runs = [1, 2, 3].map((result) => holdLock(name, () => work(result)))
    expect(await Promise.all(runs)).toEqual([1, 2, 3])
    expect(most).toBe(1)
  })

  test('is free again after work that failed', async () => {
    const name = `capstan-lock-test-${randomUUID()}`
    await expect(holdLock(name, () => Promise.reject(new Error('aground')))).rejects.toThrow('aground')
    await expect(holdLock(name, async () => 'afloat')).resolves.toBe('afloat')
  })

  test('gives up waiting when it is told to stop', async () => {
    const name = `capstan-lock-test-${randomUUID()}`
    const stop = new AbortController()
    const waits: string[] = []
    await holdLock(name, async () => {
      const waiting = holdLock(name, async () => 'taken', { signal: stop.signal, onWait: () => waits.push('waits') })
      setTimeout(() => stop.abort(), 30)
      await expect(waiting).rejects.toThrow(/abort/)
    })
    expect(waits).toEqual(['waits'])
  })

  test.runIf(process.platform === 'linux')('is released by a holder that was killed', async () => {
    const name = `capstan-lock-test-${randomUUID()}`
    const script = `require('net').createServer().listen({ path: '\\0${name}' }, () => console.log('held'))`
    const holder = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(holder.stdout, 'data')
    let killed = false
    setTimeout(() => {
      killed = true
      holder.kill('SIGKILL')
    }, 50)
    expect(await holdLock(name, async () => killed)).toBe(true)
  })
})
