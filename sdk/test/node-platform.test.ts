import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { nodeDisk } from '../src/live-update/node/index.js'
import { nodeHash } from '../src/live-update/node/node-hash.js'

const home = mkdtempSync(join(tmpdir(), 'capstan-node-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

describe('the disk of Node', () => {
  test('stores and reads files of every size, for the user alone', async () => {
    for (const size of [0, 1, 20_000, 3 * 1024 * 1024]) {
      const path = join(home, `file-${size}`)
      const around = randomBytes(size + 20)
      await nodeDisk.writeNewFile(path, around.subarray(10, 10 + size))
      expect(readFileSync(path).equals(around.subarray(10, 10 + size))).toBe(true)
      expect(statSync(path).mode & 0o777).toBe(0o600)
      expect(Buffer.compare((await nodeDisk.readFile(path))!, readFileSync(path))).toBe(0)
    }
  })

  test('never writes into a file that is there', async () => {
    const path = join(home, 'taken')
    await nodeDisk.writeNewFile(path, Buffer.from('first'))
    await expect(nodeDisk.writeNewFile(path, Buffer.from('second'))).rejects.toMatchObject({ code: 'EEXIST' })
    expect(readFileSync(path, 'utf8')).toBe('first')
  })

  test('says that a file is not there, and fails where it cannot be read', async () => {
    expect(await nodeDisk.readFile(join(home, 'missing'))).toBeNull()
    await expect(nodeDisk.readFile(home)).rejects.toMatchObject({ code: 'EISDIR' })
    await expect(nodeDisk.writeNewFile(join(home, 'missing', 'file'), Buffer.from('x'))).rejects.toMatchObject({
      code: 'ENOENT',
    })
  })
})

test('the hash of Node is SHA-256, of what a view shows, small and large', async () => {
  for (const size of [0, 1, 63, 64, 20_000, 128 * 1024, 128 * 1024 + 1, 1024 * 1024]) {
    const bytes = randomBytes(size + 7).subarray(3, 3 + size)
    const expected = createHash('sha256').update(bytes).digest('hex')
    expect(Buffer.from(await nodeHash(bytes)).toString('hex'), String(size)).toBe(expected)
  }
  // The digest of nothing, from the standard, so that both cannot be wrong together.
  const nothing = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
  expect(Buffer.from(await nodeHash(new Uint8Array())).toString('hex')).toBe(nothing)
})
