import { text } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { runCommand } from './run-command.js'

describe('runCommand', () => {
  test('returns standard output and passes on every line of both streams', async () => {
    const lines: string[] = []
    const output = await runCommand('sh', ['-c', 'echo one; echo two >&2; printf three'], {
      onLine: (line) => lines.push(line),
    })
    expect(output).toBe('one\nthree')
    expect(lines.sort()).toEqual(['one', 'three', 'two'])
  })

  test('feeds its input and hands its output to a consumer', async () => {
    let consumed = ''
    await runCommand('tr', ['a-z', 'A-Z'], {
      input: Readable.from(['steady ', 'as she goes']),
      consume: async (output) => {
        consumed = await text(output)
      },
    })
    expect(consumed).toBe('STEADY AS SHE GOES')
  })

  test('a failure names the command, its exit code and its last lines only', async () => {
    const script = 'i=0; while [ $i -lt 40 ]; do echo "line $i."; i=$((i+1)); done; exit 3'
    const failure = await runCommand('sh', ['-c', script]).catch((error: unknown) => error as Error)
    expect(failure).toMatchObject({ code: 'command-failed' })
    expect(String(failure)).toContain('exit code 3')
    expect(String(failure)).toContain('line 39.')
    expect(String(failure)).not.toContain('line 5.')
  })

  test('a missing program is named', async () => {
    await expect(runCommand('capstan-no-such-program', [])).rejects.toMatchObject({
      code: 'command-missing',
      message: 'The program `capstan-no-such-program` is not installed.',
    })
  })

  test('an abort ends the program at once and says that it was interrupted', async () => {
    const stop = new AbortController()
    const startedAt = performance.now()
    const running = runCommand('sleep', ['60'], { signal: stop.signal })
    setTimeout(() => stop.abort(), 50)
    await expect(running).rejects.toMatchObject({ code: 'interrupted' })
    expect(performance.now() - startedAt).toBeLessThan(45_000)
    await expect(runCommand('true', [], { signal: stop.signal })).rejects.toMatchObject({ code: 'interrupted' })
  })

  test('a program that stops reading its input is judged by its exit code', async () => {
    const input = Readable.from(Array.from({ length: 64 }, () => 'x'.repeat(65_536)))
    await expect(runCommand('sh', ['-c', 'exec true'], { input })).resolves.toBe('')
  })
})
