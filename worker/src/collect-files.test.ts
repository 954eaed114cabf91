import { PassThrough } from 'node:stream'
import type { Header } from 'tar-stream'
import { pack } from 'tar-stream'
import { expect, test } from 'vitest'
import { readTar } from './collect-files.js'

const limits = { files: 3, totalBytes: 1_000 }

function tarOf(...entries: [Partial<Header> & { name: string }, string?][]): PassThrough {
  const archive = pack()
  for (const [header, content] of entries) archive.entry({ ...header }, content ?? '')
  archive.finalize()
  return archive.pipe(new PassThrough())
}

test('files are read with their paths, folders are not needed', async () => {
  const tar = tarOf([{ name: './', type: 'directory' }], [{ name: './a/b.txt' }, 'text'], [{ name: './c' }])
  const files = await readTar(tar, limits)
  expect(files.map(({ path, content }) => [path, content.toString()])).toEqual([
    ['a/b.txt', 'text'],
    ['c', ''],
  ])
})

test.each([
  ['a symbolic link', { name: './a', type: 'symlink', linkname: '/etc/passwd' }],
  ['a hard link', { name: './a', type: 'link', linkname: './b' }],
  ['a device', { name: './a', type: 'character-device' }],
  ['a FIFO', { name: './a', type: 'fifo' }],
  ['a path that climbs out', { name: './../a' }],
  ['an absolute path', { name: '/a' }],
] as [string, Partial<Header> & { name: string }][])('%s is refused', async (_, header) => {
  await expect(readTar(tarOf([header]), limits)).rejects.toMatchObject({ code: 'output-not-plain' })
})

test('too many files or bytes are refused', async () => {
  const four = ['a', 'b', 'c', 'd'].map((name) => [{ name }] as [{ name: string }])
  await expect(readTar(tarOf(...four), limits)).rejects.toMatchObject({ code: 'output-too-large' })
  const long = tarOf([{ name: 'a' }, 'x'.repeat(1_001)])
  await expect(readTar(long, limits)).rejects.toMatchObject({ code: 'output-too-large' })
})
