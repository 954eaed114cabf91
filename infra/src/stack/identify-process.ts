import { readFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'

/** A process id together with its start time, so that a reused id is never taken for the process we knew. */
export interface ProcessIdentity {
  readonly pid: number
  readonly started: string
}

function startTime(pid: number): string {
  if (process.platform !== 'linux') {
    return spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()
  }
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? '' : (fields[19] ?? '')
  } catch {
    return ''
  }
}

export function identifyProcess(pid: number): ProcessIdentity {
  return { pid, started: startTime(pid) }
}

export function isRunning(identity: ProcessIdentity): boolean {
  return identity.started !== '' && startTime(identity.pid) === identity.started
}
