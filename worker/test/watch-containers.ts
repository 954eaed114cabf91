import Docker from 'dockerode'
import type { Bench } from './build-bench.js'

/** Collects the engine's whole description of every container and command of the bench's stack while a build runs. */
export function watchContainers({ world }: Bench): () => Promise<string> {
  const docker = new Docker()
  const filters = { label: [`capstan=${world.identity.stackId}`] }
  const seen: string[] = []
  const over = new AbortController()
  const look = async () => {
    for (const { Id } of await docker.listContainers({ all: true, filters })) {
      // A container may be gone by the time it is asked about.
      const description = await docker
        .getContainer(Id)
        .inspect()
        .catch(() => undefined)
      seen.push(JSON.stringify(description))
      for (const exec of description?.ExecIDs ?? []) {
        seen.push(
          JSON.stringify(
            await docker
              .getExec(exec)
              .inspect()
              .catch(() => undefined),
          ),
        )
      }
    }
  }
  const watching = (async () => {
    while (!over.signal.aborted) {
      await look()
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
  })()
  return async () => {
    over.abort()
    await watching
    return seen.join('\n')
  }
}
