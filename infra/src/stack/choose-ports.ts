import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { Failure } from '../failure.js'

export interface Ports {
  readonly api: number
  readonly postgres: number
  readonly redis: number
}

export const stablePorts: Ports = { api: 4400, postgres: 4432, redis: 4479 }

async function isPortFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    server.close()
  }
}

/** A port below the range from which the system takes its own, so that no outgoing connection can sit on it. */
export async function findFreePort(taken: ReadonlySet<number> = new Set()): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = randomInt(20_000, 32_000)
    if (!taken.has(port) && (await isPortFree(port))) return port
  }
  throw new Failure('No free port between 20000 and 32000 was found on 127.0.0.1.')
}

export async function chooseFreePorts(): Promise<Ports> {
  const api = await findFreePort()
  const postgres = await findFreePort(new Set([api]))
  const redis = await findFreePort(new Set([api, postgres]))
  return { api, postgres, redis }
}

export async function requireFreePort(port: number, purpose: string, remedy: string): Promise<void> {
  if (await isPortFree(port)) return
  throw new Failure(`Port ${port} of 127.0.0.1, wanted for ${purpose}, is taken by another program. Stop it${remedy}.`)
}
