import { readFileSync, readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { explainFailure, knownFailures } from './known-failures.js'

const folder = new URL('../fixtures/known-failures/', import.meta.url)
const linesOf = (fixture: string) => readFileSync(new URL(fixture, folder), 'utf8').split('\n')

test.each(knownFailures.map((row) => [row.code, row] as const))('%s is recognised in its own log', (code, row) => {
  for (const phase of row.phases) expect(explainFailure(phase, linesOf(row.fixture))?.code).toBe(code)
})

test('every fixture belongs to one row', () => {
  expect(readdirSync(folder).toSorted()).toEqual(knownFailures.map(({ fixture }) => fixture).toSorted())
})

test('an unknown failure is left unexplained', () => {
  expect(explainFailure('install', ['npm error something nobody has seen before'])).toBeUndefined()
})

test('a failure is explained only in the phases it can happen in', () => {
  expect(explainFailure('build-web', ['npm error code EUSAGE'])).toBeUndefined()
  expect(explainFailure('install', ['npm error code EUSAGE'])?.code).toBe('lockfile-outdated')
})

test('every explanation is a sentence', () => {
  for (const { message } of knownFailures) expect(message).toMatch(/^[A-Za-z].+\.$/)
})
