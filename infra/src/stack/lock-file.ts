import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { identifyProcess, isRunning, type ProcessIdentity } from './identify-process.js'

function readOwner(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

function tryTake(file: string, owner: string): boolean {
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, owner)
  try {
    // The link appears whole or not at all, so nobody reads half an owner.
    linkSync(draft, file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  } finally {
    rmSync(draft, { force: true })
  }
}

function breakStale(file: string, stale: string): void {
  const aside = `${file}.stale-${process.pid}`
  try {
    renameSync(file, aside)
    if (readFileSync(aside, 'utf8') !== stale) linkSync(aside, file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

/** Runs `work` while no other process holds the lock; a lock whose owner is gone is broken. */
export async function withLockFile<T>(file: string, work: () => Promise<T>): Promise<T> {
  const owner = JSON.stringify(identifyProcess(process.pid))
  while (!tryTake(file, owner)) {
    const holder = readOwner(file)
    if (holder !== undefined && !isRunning(JSON.parse(holder) as ProcessIdentity)) breakStale(file, holder)
    else await sleep(50)
  }
  try {
    return await work()
  } finally {
    if (readOwner(file) === owner) rmSync(file, { force: true })
  }
}
