import { Problem } from './problems.js'

export type WorkLimit = { atOnce: number; waiting: number }

/**
 * Runs costly work a few pieces at a time; a short queue waits, what comes on top of it is refused. Work that a stranger
 * can ask for must not take the memory and the threads of every other request.
 */
export function limitWork({ atOnce, waiting }: WorkLimit): <T>(work: () => Promise<T>) => Promise<T> {
  const queue: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running >= atOnce) {
      if (queue.length >= waiting) throw new Problem('too-many-requests')
      await new Promise<void>((resolve) => queue.push(resolve))
    } else {
      running += 1
    }
    try {
      return await work()
    } finally {
      // A place is handed on, never given back and taken again: nobody slips in between.
      const next = queue.shift()
      if (next) next()
      else running -= 1
    }
  }
}
