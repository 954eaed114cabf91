import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import type { Terminal } from '../src/cli/command.js'
import { runCommand } from '../src/cli/run-command.js'
import { customer } from './update-fixture.js'

let home: string
/** A path in the home folder of the test. */
export const at = (...names: string[]): string => join(home, ...names)

/** A fresh home folder for each test: a web build, a key pair, a token. */
export function useHome(): void {
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'capstan-cli-'))
    mkdirSync(at('web', 'assets'), { recursive: true })
    writeFileSync(at('web', 'index.html'), '<p>cli</p>')
    writeFileSync(at('web', 'assets', 'app.js'), 'show("cli")')
    writeFileSync(at('web', '.DS_Store'), 'x')
    writeFileSync(at('key.pem'), customer.privateKey)
    writeFileSync(at('key.pub.pem'), customer.publicKey)
    writeFileSync(at('token'), 'ca_0123456789\n')
  })
  afterEach(() => rmSync(home, { recursive: true, force: true }))
}

export interface Outcome {
  code: number
  out: string[]
  err: string[]
}
/** Runs one command line in this process. */
export async function capstan(args: string[], terminal: Partial<Terminal> = {}): Promise<Outcome> {
  const [out, err]: [string[], string[]] = [[], []]
  const code = await runCommand(args, {
    print: (line) => out.push(line),
    note: (line) => err.push(line),
    readInput: () => Promise.resolve(''),
    tokenFile: null,
    variable: () => null,
    ...terminal,
  })
  return { code, out, err }
}
