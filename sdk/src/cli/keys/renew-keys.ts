import { type Terminal, UsageError } from '../command.js'
import type { Arguments } from '../read-arguments.js'
import { askBroker, listOrganizations } from './ask-broker.js'

interface RewrapStep {
  keyVersion: number
  rows: number
  records: number
  unreadable: string[]
  cursor: string | null
  more: boolean
  /** `rows` is counted after the first and the last step. */
  remaining: { rows: number | null; records: number }
  retired: number[]
}

async function chosenOrganizations(options: Arguments, socket: string): Promise<string[]> {
  const org = options.get('org')
  if ((org === null) === !options.has('all')) throw new UsageError('Give either --org ID or --all.')
  return org === null ? listOrganizations(socket) : [org]
}

/** Gives organizations a new key; what is sealed from now on goes under it. */
export async function rotateKeys(options: Arguments, terminal: Terminal): Promise<number> {
  const socket = options.need('socket')
  for (const org of await chosenOrganizations(options, socket)) {
    const { keyVersion } = await askBroker(socket, '/rotate', { org })
    terminal.print(
      `${org}: key version ${String(keyVersion)}; run capstan keys rewrap to move what is under older ones`,
    )
  }
  return 0
}

/** Moves everything under the newest keys, in steps that may be interrupted and repeated. Exit code 1: something is left. */
export async function rewrapKeys(options: Arguments, terminal: Terminal): Promise<number> {
  const socket = options.need('socket')
  let left = 0
  for (const org of await chosenOrganizations(options, socket)) {
    if (options.has('root')) {
      const { moved, root } = await askBroker(socket, '/rewrap-root', { org })
      terminal.print(`${org}: ${String(moved)} organization keys moved under ${String(root)}`)
    } else left += await rewrapOrganization(org, socket, terminal)
  }
  return left === 0 ? 0 : 1
}

async function rewrapOrganization(org: string, socket: string, terminal: Terminal): Promise<number> {
  let moved = 0
  const unreadable: string[] = []
  for (let cursor: string | null = null; ;) {
    const step = (await askBroker(socket, '/rewrap', { org, cursor })) as unknown as RewrapStep
    moved += step.rows
    unreadable.push(...step.unreadable)
    cursor = step.cursor
    if (step.more) {
      terminal.note(`${org}: ${moved} versions moved`)
      continue
    }
    const { keyVersion, remaining, retired } = step
    const rows = remaining.rows ?? 0
    const older = retired.length > 0 ? `; versions ${retired.join(', ')} removed` : ''
    terminal.print(`${org}: key version ${keyVersion}, ${moved} moved, ${rows} left${older}`)
    for (const id of unreadable) terminal.note(`${org}: version ${id} does not open and was left as it is`)
    return rows + remaining.records
  }
}
