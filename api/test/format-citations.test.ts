import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { describe, expect, test } from 'vitest'

const source = fileURLToPath(new URL('../src/', import.meta.url))
const folders = readdirSync(source).filter((name) => {
  try {
    return readdirSync(join(source, name)).includes('FORMAT.md')
  } catch {
    return false
  }
})
const citations = (text: string) => [...text.matchAll(/\[[A-Z]\d+\]/g)].map(([mark]) => mark)

test('there are formats to check', () => expect(folders.length).toBeGreaterThanOrEqual(2))

describe.each(folders)('%s', (folder) => {
  const numbered = new Set(citations(readFileSync(join(source, folder, 'FORMAT.md'), 'utf8')))
  const cited = new Set(
    readdirSync(join(source, folder))
      .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
      .flatMap((name) => citations(readFileSync(join(source, folder, name), 'utf8'))),
  )
  test('code and FORMAT.md name the same steps', () => {
    expect(cited).toEqual(numbered)
    expect(numbered.size).toBeGreaterThan(0)
  })
})
