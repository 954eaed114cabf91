import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { approval, receive } from './receive-source.js'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'capstan-receive-'))))
afterEach(() => rmSync(folder, { recursive: true }))

const bytes = Buffer.from('PK and what follows')

async function* inPieces(input: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < input.length; at += size) yield input.subarray(at, at + size)
}

const take = (input: Buffer, size = 1_000) =>
  receive(inPieces(input, size), { archive: join(folder, 'tools', 'source.zip'), sizeBytes: bytes.length })

test.each([1, 3, bytes.length - 1, bytes.length, bytes.length + 1, 1_000])(
  'an archive that the worker approves of is taken, in pieces of %i bytes',
  async (size) => {
    expect(await take(Buffer.concat([bytes, approval]), size)).toBe(true)
    expect(readFileSync(join(folder, 'tools', 'source.zip'))).toEqual(bytes)
  },
)

test.each([
  ['whose approval never came', bytes],
  ['that broke off', bytes.subarray(1)],
  ['that broke off and is followed by the approval', Buffer.concat([bytes.subarray(1), approval])],
  ['whose approval broke off', Buffer.concat([bytes, approval.subarray(1)])],
  ['with something before the approval', Buffer.concat([bytes, Buffer.from('x'), approval])],
  ['with something after the approval', Buffer.concat([bytes, approval, Buffer.from('x')])],
  ['that ends as the approval does', Buffer.concat([bytes.subarray(approval.length), approval])],
])('an archive %s is not taken', async (_name, input) => {
  for (const size of [1, 7, 1_000]) expect(await take(input, size)).toBe(false)
})
