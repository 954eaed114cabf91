import { createHash } from 'node:crypto'
import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { reachableFolder, unprivileged } from './reachable-folder.js'
import type { ProcessSpec } from './supervised-process.js'

const redisUsers = ['capstan_api', 'capstan_control', 'capstan_worker'] as const
export type RedisUser = (typeof redisUsers)[number]

export interface RedisOptions {
  readonly folder: string
  readonly port: number
  /** One for each user; without them, on a throw-away server for tests, anyone on this machine may do anything. */
  readonly passwords?: Readonly<Record<RedisUser, string>>
  readonly isRoot: boolean
  readonly logFile: string
  readonly baseEnv: Readonly<Record<string, string>>
}

export interface PreparedRedis {
  readonly spec: ProcessSpec
  readonly url: string
  readonly folder: string
}

// BullMQ asks for INFO; nothing of ours needs another administrative command.
const commands = '+@all -@dangerous -@admin +info'

const keys: Record<RedisUser, string> = {
  capstan_api: 'allkeys allchannels',
  capstan_control: '~bull:* &bull:* ~capstan:* &capstan:*',
  capstan_worker: '~bull:builds:* &bull:builds:*',
}

function accessList(passwords: Readonly<Record<RedisUser, string>> | undefined): string {
  if (!passwords) return 'user default on nopass allkeys allchannels +@all\n'
  const lines = redisUsers.map((user) => {
    const digest = createHash('sha256').update(passwords[user]).digest('hex')
    return `user ${user} on #${digest} resetchannels ${keys[user]} ${commands}`
  })
  return ['user default off nopass sanitize-payload resetchannels -@all', ...lines, ''].join('\n')
}

function settings(folder: string, port: number): string {
  const lines = [
    'bind 127.0.0.1',
    `port ${port}`,
    'protected-mode yes',
    'daemonize no',
    'appendonly yes',
    'appendfsync everysec',
    'maxmemory-policy noeviction',
    'save ""',
    `dir "${folder}"`,
    `aclfile "${join(folder, 'users.acl')}"`,
  ]
  return `${lines.join('\n')}\n`
}

/** One command, by a user or by the default one; resolves to what Redis answered. */
export async function askRedis(
  port: number,
  command: readonly string[],
  login?: readonly [string, string],
): Promise<string> {
  const encode = (words: readonly string[]): string =>
    `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.setTimeout(3000, () => socket.destroy(new Error('Redis did not answer within 3 s')))
    socket.once('error', reject)
    socket.on('data', (bytes) => {
      answer += bytes.toString()
    })
    socket.once('close', () => resolve(answer))
    socket.write((login ? encode(['AUTH', ...login]) : '') + encode(command) + encode(['QUIT']))
  })
}

/** Writes settings and access list anew and says how to run the server on them. */
export function prepareRedis(options: RedisOptions): PreparedRedis {
  const folder = reachableFolder(options.folder, options.isRoot)
  const owner = options.isRoot ? unprivileged : undefined
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const files = { 'users.acl': accessList(options.passwords), 'redis.conf': settings(folder, options.port) }
  for (const [name, text] of Object.entries(files)) {
    const file = join(folder, name)
    writeFileSync(file, text, { mode: 0o600 })
    if (owner) chownSync(file, owner.uid, owner.gid)
  }
  if (owner) chownSync(folder, owner.uid, owner.gid)
  const { passwords, port } = options
  const login = passwords ? (['capstan_api', passwords.capstan_api] as const) : undefined
  return {
    folder,
    url: `redis://127.0.0.1:${port}`,
    spec: {
      name: 'redis',
      command: 'redis-server',
      args: [join(folder, 'redis.conf')],
      env: options.baseEnv,
      cwd: folder,
      logFile: options.logFile,
      owner,
      isReady: async () => (await askRedis(port, ['PING'], login).catch(() => '')).includes('+PONG'),
    },
  }
}
