import { chmod, lstat, rm, stat } from 'node:fs/promises'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import { dirname } from 'node:path'

/** A socket path that must not be used; one sentence for a person. */
export class SocketPathError extends Error {
  override name = 'SocketPathError' as const
}

const MAX_PATH_BYTES = 107

/**
 * Listens on a Unix socket that only its owner and group may connect to: the group is the right; mode 0600 leaves only
 * the owner. A socket file that a crash left behind is replaced; one that answers is not.
 */
export async function listenOnSocket(server: Server, path: string, setting: string, mode = 0o660): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw new SocketPathError(`${setting}: ${path} is longer than the ${MAX_PATH_BYTES} bytes a socket path may have.`)
  }
  const folder = await stat(dirname(path)).catch(() => null)
  if (folder === null) throw new SocketPathError(`${setting}: the folder of ${path} does not exist.`)
  if ((folder.mode & 0o002) !== 0) {
    throw new SocketPathError(`${setting}: everybody may write in the folder of ${path}; choose a closed one.`)
  }
  await removeStale(path, setting)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    // Until chmod the mode comes from the umask, which can only be narrower for others than what follows.
    server.listen(path, () => resolve())
  })
  await chmod(path, mode)
}

async function removeStale(path: string, setting: string): Promise<void> {
  const found = await lstat(path).catch(() => null)
  if (found === null) return
  if (!found.isSocket()) throw new SocketPathError(`${setting}: ${path} exists and is not a socket.`)
  if (await answers(path)) throw new SocketPathError(`${setting}: another broker listens on ${path}.`)
  await rm(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve(socket.destroy() !== undefined))
    socket.once('error', () => resolve(false))
  })
}
