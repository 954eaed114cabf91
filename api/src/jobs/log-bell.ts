import type { Redis } from 'ioredis'
import { logChannel } from './ring-log-bell.js'

type Listener = () => void
type Bell = { connection: Redis; listeners: Map<string, Set<Listener>> }

const bells = new WeakMap<Redis, Bell>()

/**
 * Calls `listener` whenever a job's log grows, until the returned function is called. All listeners of a process share
 * one connection, which is open only while somebody listens.
 */
export function listenToLogs(redis: Redis, jobId: string, listener: Listener): () => void {
  const bell = bells.get(redis) ?? openBell(redis)
  const channel = logChannel(jobId)
  const listeners = bell.listeners.get(channel) ?? new Set()
  if (listeners.size === 0) bell.connection.subscribe(channel).catch(() => undefined)
  bell.listeners.set(channel, listeners.add(listener))
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    bell.listeners.delete(channel)
    if (bell.listeners.size === 0) closeBell(redis, bell)
    else bell.connection.unsubscribe(channel).catch(() => undefined)
  }
}

function openBell(redis: Redis): Bell {
  const connection = redis.duplicate({ enableOfflineQueue: true, maxRetriesPerRequest: null, lazyConnect: false })
  const bell: Bell = { connection, listeners: new Map() }
  connection.on('error', () => undefined)
  connection.on('message', (channel: string) => {
    for (const listener of bell.listeners.get(channel) ?? []) listener()
  })
  bells.set(redis, bell)
  return bell
}

function closeBell(redis: Redis, bell: Bell): void {
  bells.delete(redis)
  bell.connection.disconnect()
}
