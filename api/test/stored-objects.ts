import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Fixture } from './fixture.js'

/** What the object store has below a prefix. */
export async function keysBelow({ deps }: Fixture, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of deps.objects.list(prefix)) keys.push(key)
  return keys
}

async function filesOf(fixture: Fixture): Promise<string[]> {
  const entries = await readdir(join(fixture.folder, 'objects', 'objects'), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

/** Stores an object and changes a bit of its file, so that nobody can read what it is. */
export async function storeDamaged(fixture: Fixture, key: string): Promise<void> {
  const before = new Set(await filesOf(fixture))
  await fixture.deps.objects.put(key, Buffer.from('damaged'), { contentType: 'application/zip' })
  for (const path of (await filesOf(fixture)).filter((file) => !before.has(file))) {
    const bytes = await readFile(path)
    bytes.writeUInt8(bytes.readUInt8(500) ^ 1, 500)
    await writeFile(path, bytes)
  }
}
