import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
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

/**
 * Takes the number for this process until it ends, as a port of UDP, which none of the servers speaks. Whoever else looks for
 * a port meanwhile passes it by, though nothing listens there yet.
 */
async function claim(port: number): Promise<boolean> {
  const holder = createSocket('udp4')
  try {
    holder.bind(port, '127.0.0.1')
    await once(holder, 'listening')
    holder.unref()
    return true
  } catch {
    holder.close()
    return false
  }
}

/** A port below the range from which the system takes its own, so that no outgoing connection can sit on it. */
export async function findFreePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = randomInt(20_000, 32_000)
    if ((await isPortFree(port)) && (await claim(port))) return port
  }
  throw new Failure('No free port between 20000 and 32000 was found on 127.0.0.1.')
}

export async function chooseFreePorts(): Promise<Ports> {
  return { api: await findFreePort(), postgres: await findFreePort(), redis: await findFreePort() }
}

export async function requireFreePort(port: number, purpose: string, remedy: string): Promise<void> {
  if (await isPortFree(port)) return
  throw new Failure(`Port ${port} of 127.0.0.1, wanted for ${purpose}, is taken by another program. Stop it${remedy}.`)
}
