import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { findBrokenReferences } from '../src/commands/find-broken-references.js'
import { countTests } from '../src/commands/count-tests.js'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'check-'))
  mkdirSync(join(folder, 'api', 'src'), { recursive: true })
  writeFileSync(join(folder, 'api', 'src', 'main.ts'), '')
  writeFileSync(join(folder, 'api', 'FORMAT.md'), '# Format\n\n## 4.2 The envelope\n')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const broken = (text: string): string[] => {
  writeFileSync(join(folder, 'README.md'), text)
  return findBrokenReferences(folder)
}

test('links, anchors and quoted paths that lead somewhere pass', () => {
  const text =
    'See [format](api/FORMAT.md#42-the-envelope), [web](https://example.com), `api/src/main.ts` and `api/src/`.'
  expect(broken(text)).toEqual([])
})

test('a link to no file, an anchor to no heading and a path to nothing are each named', () => {
  expect(broken('[a](api/GONE.md) [b](api/FORMAT.md#nowhere) `api/src/gone.ts`')).toEqual([
    'README.md: "api/GONE.md" does not exist',
    'README.md: "api/FORMAT.md#nowhere" does not exist',
    'README.md: "api/src/gone.ts" does not exist',
  ])
})

test('quoted text that is no path of the repository is left alone', () => {
  expect(broken('`a/b`, `text/plain`, `api`, `/v1/apps`, `.capstan/dev.json`')).toEqual([])
})

test('a test file that cannot be loaded counts as a failure', () => {
  const passed = { status: 'passed', assertionResults: [{ status: 'passed' }] }
  const unloadable = { status: 'failed', assertionResults: [] }
  const failed = { status: 'failed', assertionResults: [{ status: 'failed' }] }
  const report = { numPassedTests: 3, numFailedTests: 1, testResults: [passed, unloadable, failed] }
  expect(countTests(report)).toEqual({ passed: 3, failed: 2 })
})
