import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Node 20 takes a 4-byte tag unless the length is given: a forgery costs 2³² tries instead of 2¹²⁸. */
const CALL = /\bcreateDecipher(?:iv)?\s*\(([^()]|\([^()]*\))*\)/g

function unpinned(source: string): string[] {
  return [...source.matchAll(CALL)].map(([call]) => call).filter((call) => !/authTagLength:\s*16\b/.test(call))
}

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (['node_modules', 'dist', 'test'].includes(entry.name) || entry.name.startsWith('.')) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sources(path)
    return /\.(ts|tsx|js|mjs)$/.test(entry.name) && !entry.name.endsWith('.test.ts') ? [path] : []
  })
}

test('the search finds a call without a tag length and passes one with', () => {
  expect(unpinned("createDecipheriv('aes-256-gcm', key, nonce)")).toHaveLength(1)
  expect(unpinned("createDecipheriv('aes-256-gcm', key(), nonce, { authTagLength: 4 })")).toHaveLength(1)
  expect(unpinned("createDecipheriv('aes-256-gcm', key(), nonce, { authTagLength: 16 })")).toHaveLength(0)
})

test('every decryption in the repository pins the tag to 16 bytes', () => {
  const files = sources(root).map((path) => ({ path, source: readFileSync(path, 'utf8') }))
  const calls = files.filter(({ source }) => source.includes('createDecipheriv('))
  expect(calls.length).toBeGreaterThanOrEqual(2)
  expect(calls.flatMap(({ path, source }) => unpinned(source).map((call) => `${path}: ${call}`))).toEqual([])
})
