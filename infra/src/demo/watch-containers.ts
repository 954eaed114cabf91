import { setTimeout as sleep } from 'node:timers/promises'
import { askDocker } from '../stack/ask-docker.js'
import type { Stack } from '../stack/start-stack.js'
import type { ContainerSeen } from './demo-world.js'

export interface ContainerWatch {
  /** Ends the watch. */
  stop(): Promise<readonly ContainerSeen[]>
}

/** Keeps what `docker inspect` says of the stack's containers while they come and go. */
export function watchContainers(stack: Stack): ContainerWatch {
  const seen = new Map<string, string[]>()
  const filters = encodeURIComponent(JSON.stringify({ label: [`capstan=${stack.stackId}`] }))
  const ending = new AbortController()

  async function look(): Promise<void> {
    const { body } = await askDocker(stack.dockerHost, 'GET', `/containers/json?all=1&filters=${filters}`)
    for (const { Id } of JSON.parse(body) as { Id: string }[]) {
      const inspection = await askDocker(stack.dockerHost, 'GET', `/containers/${Id}/json`)
      const texts = seen.get(Id) ?? []
      if (inspection.status === 200 && texts.at(-1) !== inspection.body) texts.push(inspection.body)
      seen.set(Id, texts)
    }
  }

  const watched = (async () => {
    while (!ending.signal.aborted) {
      // A container that ends between the two questions is no fault.
      await look().catch(() => {})
      await sleep(150)
    }
  })()
  return {
    stop: async () => {
      ending.abort()
      await watched
      return [...seen].map(([id, inspections]) => ({ id, inspections }))
    },
  }
}
