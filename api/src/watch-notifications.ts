import type { Listen, Listener } from '@capstan/migrations'

/** Listens to one channel of the database; each call of `listen` makes sure of it, also after the connection was lost. */
export function watchNotifications(listen: Listen, channel: string, onNotify: () => void) {
  let listener: Listener | null = null
  const stop = async () => {
    const old = listener
    listener = null
    await old?.[Symbol.asyncDispose]()
  }
  return {
    stop,
    async listen() {
      if (listener && !listener.isLost()) return
      await stop()
      listener = await listen(channel, onNotify)
    },
  }
}
