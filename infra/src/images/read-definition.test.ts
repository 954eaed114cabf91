import { cp, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { definitionFolder, readDefinition } from './read-definition.js'

let copy: string

beforeEach(async () => {
  copy = await mkdtemp(join(tmpdir(), 'capstan-definition-test-'))
  await cp(definitionFolder, copy, { recursive: true })
})
afterEach(() => rm(copy, { recursive: true, force: true }))

async function tagsOf(folder: string, architecture = 'amd64') {
  const { base, web, builder } = await readDefinition(folder, architecture)
  return { base: base.tag, web: web.tag, builder: builder.tag }
}

describe('image tags', () => {
  test('the same files give the same tags in another folder', async () => {
    expect(await tagsOf(copy)).toEqual(await tagsOf(definitionFolder))
  })

  test('name the image and sixteen digits of the hash', async () => {
    const tags = await tagsOf(definitionFolder)
    expect(tags.base).toMatch(/^capstan-base:[0-9a-f]{16}$/)
    expect(tags.web).toMatch(/^capstan-web:[0-9a-f]{16}$/)
    expect(tags.builder).toMatch(/^capstan-builder:[0-9a-f]{16}$/)
  })

  test('a change to the Android files leaves the parents alone', async () => {
    const before = await tagsOf(copy)
    await writeFile(join(copy, 'android/bullseye.sha256'), 'changed')
    expect(await tagsOf(copy)).toEqual({ ...before, builder: expect.not.stringMatching(before.builder) })
  })

  test('a change to the web files changes the image on top too', async () => {
    const before = await tagsOf(copy)
    await writeFile(join(copy, 'web/apt/dpkg.conf'), 'changed')
    const after = await tagsOf(copy)
    expect(after.base).toBe(before.base)
    expect(after.web).not.toBe(before.web)
    expect(after.builder).not.toBe(before.builder)
  })

  test('another processor and a renamed file change every image', async () => {
    const before = await tagsOf(copy)
    const other = await tagsOf(copy, 'arm64')
    expect(Object.values(other)).not.toContain(before.base)
    expect(other.builder).not.toBe(before.builder)
    await rename(join(copy, 'base/debootstrap.sh'), join(copy, 'base/bootstrap.sh'))
    expect((await tagsOf(copy)).base).not.toBe(before.base)
  })

  test('installed packages, hidden files and the README are not part of the definition', async () => {
    const before = await tagsOf(copy)
    await writeFile(join(copy, 'web/.DS_Store'), 'noise')
    await writeFile(join(copy, 'README.md'), 'other words')
    expect(await tagsOf(copy)).toEqual(before)
  })
})

describe('base.json', () => {
  const write = (base: unknown) => writeFile(join(copy, 'base/base.json'), JSON.stringify(base))
  const pinned = {
    registryImage: `debian:bookworm-slim@sha256:${'a'.repeat(64)}`,
    suite: 'bookworm',
  }

  test('accepts an image named by digest', async () => {
    await write(pinned)
    expect((await readDefinition(copy, 'amd64')).base).toMatchObject(pinned)
  })

  test.each([
    ['an image named by tag alone', { ...pinned, registryImage: 'debian:bookworm-slim' }, '`registryImage` by digest'],
    ['a suite that is an option', { ...pinned, suite: '--help' }, '`suite`'],
    ['something else than an object', null, 'is not an object'],
  ])('refuses %s', async (_, base, words) => {
    await write(base)
    await expect(readDefinition(copy, 'amd64')).rejects.toMatchObject({
      code: 'definition-invalid',
      message: expect.stringContaining(words),
    })
  })
})
