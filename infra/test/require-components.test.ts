import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findMissing } from '../src/components/find-components.js'
import { requireComponents } from '../src/components/require-components.js'
import { readConfig } from '../src/config.js'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'components-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function place(...programs: string[]): void {
  for (const program of programs) {
    writeFileSync(join(folder, program), '#!/bin/sh\n')
    chmodSync(join(folder, program), 0o755)
  }
}

const unprivileged = () => ({ ...readConfig(), isRoot: false, baseEnv: { PATH: folder } })

test('a missing component ends with exit code 2 and the command that installs it', async () => {
  place('git', 'openssl', 'docker', 'dockerd')
  const refusal = requireComponents(unprivileged(), () => {})
  await expect(refusal).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringMatching(/^Missing: Redis\. Install .*redis/),
  })
})

test('with every component there, nothing is said and nothing is installed', async () => {
  place('git', 'openssl', 'docker', 'dockerd', 'redis-server')
  const said: string[] = []
  await requireComponents(unprivileged(), (line) => said.push(line))
  expect(said).toEqual([])
})

test('an existing Redis is not asked for', async () => {
  place('git', 'openssl', 'docker', 'dockerd')
  await requireComponents({ ...unprivileged(), redisUrl: 'redis://127.0.0.1:1' }, () => {})
})

test('a file that may not be run does not count as a program', () => {
  place('redis-server')
  expect(findMissing(['redis'], folder)).toEqual([])
  chmodSync(join(folder, 'redis-server'), 0o644)
  expect(findMissing(['redis'], folder).map(({ name }) => name)).toEqual(['Redis'])
})
