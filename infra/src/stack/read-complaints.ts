import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { lastLines } from './read-log.js'

const warning = 40
const keptOfEach = 5

interface LogLine {
  readonly level?: unknown
  readonly msg?: unknown
  readonly err?: { readonly message?: unknown }
}

function complaint(line: string): string | undefined {
  try {
    const { level, msg, err } = JSON.parse(line) as LogLine
    if (typeof level !== 'number' || level < warning) return undefined
    return [msg, err?.message].filter((text) => typeof text === 'string').join(': ')
  } catch {
    return undefined
  }
}

/** What the own processes of a stack last warned of, one line each with the name of the process. */
export function readComplaints(logs: string): string[] {
  if (!existsSync(logs)) return []
  const files = readdirSync(logs).filter((file) => file.endsWith('.log'))
  return files.sort().flatMap((file) => {
    const complaints = lastLines(join(logs, file), 2000).flatMap((line) => complaint(line) ?? [])
    return complaints.slice(-keptOfEach).map((text) => `${file.slice(0, -'.log'.length)} said: ${text}`)
  })
}
