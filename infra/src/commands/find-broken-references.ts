import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'

const skipped = new Set(['node_modules', 'dist', '.git', '.capstan', 'coverage'])

function markdownFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return markdownFiles(path)
    return entry.name.endsWith('.md') ? [path] : []
  })
}

function topFolders(checkout: string): string[] {
  return readdirSync(checkout, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !skipped.has(entry.name))
    .map((entry) => entry.name)
}

/** Anchors as a forge makes them of headings. */
function anchors(text: string): Set<string> {
  const headings = [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => heading)
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

function brokenLinks(file: string, text: string): string[] {
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return targets.filter((target) => {
    if (/^[a-z]+:/i.test(target)) return false
    const [path = '', anchor] = decodeURIComponent(target).split('#')
    const aim = path === '' ? file : join(dirname(file), path)
    if (!existsSync(aim)) return true
    return anchor !== undefined && statSync(aim).isFile() && !anchors(readFileSync(aim, 'utf8')).has(anchor)
  })
}

/** Paths in backticks that begin with a folder of the repository; patterns and places made at run time are left alone. */
function brokenPaths(checkout: string, folders: readonly string[], file: string, text: string): string[] {
  const prose = text.replaceAll(/^```[\s\S]*?^```/gm, '')
  const quoted = [...prose.matchAll(/`([\w.@/-]+)`/g)].map(([, path = '']) => path)
  return quoted.filter((path) => {
    const [first = '', ...rest] = path.split('/')
    if (rest.length === 0 || !folders.includes(first) || path.split('/').some((part) => skipped.has(part))) return false
    return !existsSync(join(checkout, path)) && !existsSync(join(dirname(file), path))
  })
}

/** One line for each link or path in the documents that leads nowhere. */
export function findBrokenReferences(checkout: string): string[] {
  const folders = topFolders(checkout)
  return markdownFiles(checkout).flatMap((file) => {
    const text = readFileSync(file, 'utf8')
    const name = relative(checkout, file).split(sep).join('/')
    return [...brokenLinks(file, text), ...brokenPaths(checkout, folders, file, text)].map(
      (target) => `${name}: "${target}" does not exist`,
    )
  })
}
