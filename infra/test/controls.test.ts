import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { readCases } from '../src/attack/cases.js'
import { readControls } from '../src/attack/controls.js'
import { findMissingTests } from '../src/attack/find-missing-tests.js'

const checkout = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const controls = readControls(checkout)

test('a control that is in place names tests that exist', () => {
  const cases = readCases(checkout)
  const wrong = controls.flatMap(({ id, state, cases: ids = [], tests = {} }) => {
    const unproven = ids.filter((name) => Object.keys(cases[name]?.attack ?? {}).length === 0)
    return [
      ...(state === 'in_place' && ids.length + Object.keys(tests).length === 0 ? [`${id} names no test`] : []),
      ...unproven.map((name) => `${id}: the case ${name} names no test`),
      ...findMissingTests(checkout, tests).map((complaint) => `${id}: ${complaint}`),
    ]
  })
  expect(wrong).toEqual([])
})

test('a control that is not in place says what is missing, and none is named twice', () => {
  const silent = controls.filter(({ state, missing }) => (state === 'in_place') === (missing !== undefined))
  expect(silent.map(({ id }) => id)).toEqual([])
  expect(new Set(controls.map(({ id }) => id)).size).toBe(controls.length)
})

test('no certificate is claimed', () => {
  for (const file of ['README.md', 'SECURITY.md', 'api/controls.json', 'api/README.md']) {
    const sentences = readFileSync(join(checkout, file), 'utf8').split(/(?<=[.!?"}])\s/)
    for (const sentence of sentences.filter((text) => /SOC ?2|ISO ?27001/.test(text))) {
      expect([file, sentence]).toEqual([file, expect.stringMatching(/[Nn]o certificate|planned/)])
    }
  }
})
