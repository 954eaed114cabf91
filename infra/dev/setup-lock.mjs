import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** When the process started, in clock ticks since boot: tells a live owner from a reused process id. Empty where unknown. */
function startTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

function isAlive(owner) {
  const [pid, started] = owner.split(' ')
  try {
    process.kill(Number(pid), 0)
  } catch (error) {
    if (error.code !== 'EPERM') return false
  }
  return !started || startTime(Number(pid)) === started
}

function breakStaleLock(file, stale) {
  const aside = `${file}.stale-${process.pid}`
  try {
    renameSync(file, aside)
    // Another run may have broken the lock and taken it since it was read: then it is theirs and goes back.
    if (readFileSync(aside, 'utf8') !== stale) linkSync(aside, file)
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

/** Writes the owner into a file of its own first, so that a lock is never seen half written. */
function tryLock(file, owner) {
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, owner)
  try {
    linkSync(draft, file)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    return false
  } finally {
    rmSync(draft, { force: true })
  }
}

function readOwner(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Runs `work` while no other run of this checkout installs or compiles. */
export async function withSetupLock(folder, work) {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'setup.lock')
  const owner = `${process.pid} ${startTime(process.pid)}`
  let told = false
  while (!tryLock(file, owner)) {
    const holder = readOwner(file)
    if (holder !== undefined && !isAlive(holder)) breakStaleLock(file, holder)
    else if (holder !== undefined) {
      if (!told) console.log(`waiting for another set-up of this checkout (process ${holder.split(' ')[0]})`)
      told = true
      await sleep(200)
    }
  }
  const release = () => {
    if (readOwner(file) === owner) rmSync(file, { force: true })
  }
  const interrupted = () => process.exit(130)
  process.once('exit', release)
  process.once('SIGINT', interrupted)
  process.once('SIGTERM', interrupted)
  try {
    return await work()
  } finally {
    release()
    process.off('exit', release)
    process.off('SIGINT', interrupted)
    process.off('SIGTERM', interrupted)
  }
}
