import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'

import { checkFile } from '../src/credentials/check-file.js'
import { decodeQuestion, encodeQuestion, type FileQuestion } from '../src/credentials/file-question.js'
import { CredentialFacts } from '../src/credentials/credential-facts.js'
import { Launcher } from '../src/credentials/launch.js'
import { keystore, keystoreBytes, storePassword } from './keystore-fixtures.js'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'capstan-child-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const question = (name: string): FileQuestion => ({
  kind: 'android.keystore',
  bytes: keystoreBytes(name),
  password: storePassword,
})
const Result = z.object({ facts: CredentialFacts })
const judge = (asked: FileQuestion, launcher?: Launcher, org = 'one') =>
  checkFile({ org, question: asked, Result }, launcher)
const check = async (name: string) => (await judge(question(name))).facts
const tooCostly = { name: 'CredentialRefusal', code: 'keystore-too-costly' }

/** Another program in the child's place, to see what it is given and what becomes of it. */
function impostor(source: string): Launcher {
  const path = join(folder, `child-${Math.random().toString(36).slice(2)}.mjs`)
  writeFileSync(path, source)
  return new Launcher(path)
}

describe('the keystore child', () => {
  test('opens a keystore and refuses a wrong password', async () => {
    expect((await check('ec.p12')).fingerprintSha256).toBe(keystore('ec.p12').sha256[0])
    await expect(judge({ ...question('ec.p12'), password: 'wrong' })).rejects.toMatchObject({
      name: 'CredentialRefusal',
      code: 'keystore-password-wrong',
      message: 'The keystore password is wrong.',
    })
  })

  test('is asked with the file as it is, whatever stands in it and in the password', () => {
    const asked = {
      kind: 'apple.identity',
      bytes: Buffer.from('\n{"kind":"x"}\n\0'),
      password: 'one\ntwo "ü"',
    } as const
    const { bytes, ...head } = asked
    expect(decodeQuestion(encodeQuestion(asked))).toEqual({ head, bytes })
  })

  test('is given nothing by arguments, environment or working folder', async () => {
    const child = impostor(`
      const message = JSON.stringify({ argv: process.argv, exec: process.execArgv, env: process.env, cwd: process.cwd() })
      process.stdout.write(JSON.stringify({ ok: false, code: 'keystore-damaged', message }))`)
    const error: unknown = await judge(question('ec.p12'), child).catch((caught: unknown) => caught)
    const seen = JSON.parse((error as Error).message) as { argv: string[]; exec: string[]; env: object; cwd: string }
    expect(seen.cwd).toBe('/')
    // The shell that sets the limits adds its own folder and nothing else.
    expect(Object.keys(seen.env).filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name))).toEqual([])
    expect(seen.argv.slice(1)).toEqual([expect.stringMatching(/child-\w+\.mjs$/)])
    expect(JSON.stringify(seen)).not.toContain(storePassword)
    expect(seen.exec).toContain('--max-old-space-size=192')
  })

  test('has five seconds of processor and a bounded memory, and leaves no core', async () => {
    const source = `
      import { execFileSync } from 'node:child_process'
      const message = execFileSync('/bin/sh', ['-c', 'ulimit -t; ulimit -d; ulimit -c'], { encoding: 'utf8' })
      process.stdout.write(JSON.stringify({ ok: false, code: 'keystore-damaged', message }))`
    await expect(judge(question('ec.p12'), impostor(source))).rejects.toMatchObject({ message: '5\n327680\n0\n' })
  })

  // On a machine that is full the clock runs out before other limits are reached, which is another refusal.
  const eitherLimit = { code: expect.stringMatching(/^(keystore-too-costly|upload-not-stored)$/) as string }

  test.each([
    ['never comes to an end', 'for (;;) {}', eitherLimit],
    ['takes too much memory', 'const hoard = []; for (;;) hoard.push(new Array(1e6).fill(Math.random()))', eitherLimit],
    [
      'takes too much memory outside of its heap',
      'const hoard = []; for (;;) hoard.push(Buffer.alloc(1e7, 1))',
      eitherLimit,
    ],
    ['never stops talking', "for (;;) process.stdout.write('x'.repeat(65536))", eitherLimit],
    ['is killed', "process.kill(process.pid, 'SIGKILL')", tooCostly],
    ['ends with an error', 'process.exitCode = 1', tooCostly],
  ])(
    'that %s is a refusal, not an error of the platform, and the next is answered',
    async (_, source, expected) => {
      await expect(judge(question('ec.p12'), impostor(source))).rejects.toMatchObject(expected)
      expect((await check('ec.p12')).keyAlias).toBe('upload')
    },
    90_000,
  )

  test.each([
    ['a name of sixty thousand letters', { ok: true, result: { facts: { keyAlias: 'x'.repeat(60_000) } } }],
    ['a refusal without end', { ok: false, code: 'keystore-damaged', message: 'x'.repeat(60_000) }],
    ['a code of its own', { ok: false, code: 'mine', message: 'x' }],
    ['something else', 'x'],
  ])('that answers %s is a refusal as well', async (_, answer) => {
    const child = impostor(`process.stdout.write(${JSON.stringify(JSON.stringify(answer))})`)
    await expect(judge(question('ec.p12'), child)).rejects.toMatchObject({
      name: 'CredentialRefusal',
      code: 'keystore-damaged',
      message: expect.stringMatching(/^.{1,200}$/) as string,
    })
  })

  test('few run at a time; the others wait and are answered', async () => {
    const results = await Promise.all(Array.from({ length: 6 }, () => check('ec.jks')))
    expect(new Set(results.map(({ fingerprintSha256 }) => fingerprintSha256)).size).toBe(1)
  })
})
