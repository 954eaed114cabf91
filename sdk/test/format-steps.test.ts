import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const format = readFileSync(new URL('../FORMAT.md', import.meta.url), 'utf8')
const sources = readdirSync(new URL('../src', import.meta.url), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(new URL(`../src/${name}`, import.meta.url), 'utf8'))
  .join('\n')

const sorted = (matches: Iterable<RegExpMatchArray>): string[] =>
  [...new Set(Array.from(matches, (match) => match[1]!))].toSorted()

describe('FORMAT.md and the code', () => {
  test('number the same steps', () => {
    const written = sorted(format.matchAll(/^\| ([RCKAPVS]\d+) +\|/gm))
    expect(written.length).toBeGreaterThan(30)
    expect(sorted(sources.matchAll(/\[([RCKAPVS]\d+)\]/g))).toEqual(written)
  })

  test('know the same archive codes', () => {
    const listed = sorted(sources.matchAll(/^ {2}\| 'ARCHIVE_([A-Z0-9_]+)'$/gm))
    const section = format.slice(format.indexOf('## Archive'), format.indexOf('## Patch'))
    expect(sorted(section.matchAll(/[(`]*`([A-Z][A-Z0-9_]+)`/g))).toEqual(listed)
  })
})
