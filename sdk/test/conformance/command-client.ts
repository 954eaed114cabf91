import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { ConformanceClient } from './contract.js'

/**
 * Any client as a command: it reads `{"command":"init"|"sync"|"current","settings":…}` from standard input, one JSON
 * object a line, and writes one answer a line.
 */
export function commandClient(argv: readonly [string, ...string[]]): ConformanceClient {
  const running = spawn(argv[0], argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting: ((line: string) => void)[] = []
  createInterface({ input: running.stdout }).on('line', (line) => waiting.shift()?.(line))
  running.on('close', (code) => {
    for (const answer of waiting) answer(JSON.stringify({ ok: false, code: `EXIT ${code}` }))
  })
  const ask = (command: object): Promise<never> =>
    new Promise((resolve) => {
      waiting.push((line) => resolve(JSON.parse(line) as never))
      running.stdin.write(`${JSON.stringify(command)}\n`)
    })
  return {
    init: (settings) => ask({ command: 'init', settings }),
    sync: () => ask({ command: 'sync' }),
    current: () => ask({ command: 'current' }),
    close: async () => {
      running.stdin.end()
      if (running.exitCode === null) await new Promise((resolve) => running.once('close', resolve))
    },
  }
}
