import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import postgres from 'postgres'
import type { DemoWorld } from './demo-world.js'
import { findSecrets, type SecretForm } from './secret-forms.js'

export interface SearchResult {
  readonly found: readonly string[]
  readonly places: number
  readonly bytes: number
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesIn(path)
    return entry.isFile() ? [path] : []
  })
}

function readIfThere(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch {
    return Buffer.alloc(0)
  }
}

/** Every row of every table as text; binary columns come as hex. */
async function dumpTables(databaseUrl: string): Promise<[string, Buffer][]> {
  const sql = postgres(databaseUrl, { max: 1, onnotice: () => {} })
  try {
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema')`
    await sql.unsafe('checkpoint')
    const dumps: [string, Buffer][] = []
    for (const { name } of tables) {
      const rows = await sql.unsafe<{ line: string }[]>(`select t::text as line from ${name} t`)
      dumps.push([`table ${name}`, Buffer.from(rows.map(({ line }) => line).join('\n'))])
    }
    return dumps
  } finally {
    await sql.end({ timeout: 5 })
  }
}

/** What other programs of this machine can see of the platform's own processes. */
function processFiles(world: DemoWorld): string[] {
  return [...world.stack.processes.values()].flatMap(({ pid }) =>
    pid ? [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`] : [],
  )
}

/** Searches the database (rows, pages, write-ahead log), Redis' files, the object store, all logs, process lists and container descriptions. */
export async function searchEverywhere(
  world: DemoWorld,
  forms: readonly SecretForm[],
  inspections: readonly string[] = [],
): Promise<SearchResult> {
  const { folders, storageFolders } = world.stack
  const tables = await dumpTables(world.stack.databaseUrl)
  const files = [...storageFolders, folders.objects, folders.keys, folders.logs].flatMap(filesIn)
  const named: (readonly [string, () => Buffer])[] = [
    ...tables.map(([name, content]) => [name, () => content] as const),
    ...[...files, ...processFiles(world)].map((file) => [file, () => readIfThere(file)] as const),
    ...inspections.map((text, index) => [`docker inspect ${index + 1}`, () => Buffer.from(text)] as const),
  ]
  let bytes = 0
  const found = named.flatMap(([place, read]) => {
    const content = read()
    bytes += content.length
    return findSecrets(place, content, forms)
  })
  return { found, places: named.length, bytes }
}
