import { createHash, type Hash } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { BuilderImageError } from './builder-image-error.js'

export type ImageDefinition = {
  /** Folder with the definition files of every image. */
  folder: string
  base: { tag: string; registryImage: string; suite: string }
  web: { tag: string }
  builder: { tag: string }
}

export const definitionFolder = fileURLToPath(new URL('../../images/', import.meta.url))

/**
 * Reads the definition files and names each image by the content that makes it: its own files, those of its
 * parents, and the processor it is for. The same files give the same tags on every machine.
 */
export async function readDefinition(folder: string, architecture: string): Promise<ImageDefinition> {
  const chain = createHash('sha256').update(`capstan builder images, ${architecture}\n`)
  await addFolder(chain, folder, 'base')
  const base = {
    tag: tagOf('capstan-base', chain),
    ...parseBase(await readFile(join(folder, 'base/base.json'), 'utf8')),
  }
  await addFolder(chain, folder, 'web')
  const web = { tag: tagOf('capstan-web', chain) }
  await addFolder(chain, folder, 'android')
  return { folder, base, web, builder: { tag: tagOf('capstan-builder', chain) } }
}

async function addFolder(hash: Hash, folder: string, name: string): Promise<void> {
  for (const path of await listFiles(join(folder, name), name)) {
    const bytes = await readFile(join(folder, path))
    // The length keeps two files from being read as one file with the same bytes.
    hash.update(`${path}\0${bytes.length}\0`).update(bytes)
  }
}

async function listFiles(folder: string, prefix: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const found = await Promise.all(
    entries
      .filter((entry) => !entry.name.startsWith('.') && entry.name !== 'node_modules')
      .map(async (entry) => {
        const path = `${prefix}/${entry.name}`
        return entry.isDirectory() ? listFiles(join(folder, entry.name), path) : [path]
      }),
  )
  return found.flat().sort()
}

function tagOf(name: string, chain: Hash): string {
  return `${name}:${chain.copy().digest('hex').slice(0, 16)}`
}

function parseBase(text: string): { registryImage: string; suite: string } {
  const base: unknown = JSON.parse(text)
  if (typeof base !== 'object' || base === null) throw invalid('is not an object')
  const { registryImage, suite } = base as Record<string, unknown>
  if (typeof registryImage !== 'string' || !/^[a-z0-9./:-]+@sha256:[0-9a-f]{64}$/.test(registryImage)) {
    throw invalid('must name `registryImage` by digest')
  }
  if (typeof suite !== 'string' || !/^[a-z]+$/.test(suite)) throw invalid('must name a Debian `suite`')
  return { registryImage, suite }
}

function invalid(what: string): BuilderImageError {
  return new BuilderImageError('definition-invalid', `infra/images/base/base.json ${what}.`)
}
