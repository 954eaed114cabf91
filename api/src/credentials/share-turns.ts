import { Problem } from '../problems.js'

export type Turns = { atOnce: number; waitingOfOne: number; waiting: number }

/**
 * Runs costly work a few pieces at a time, the owners in turn: whoever brings a hundred pieces waits for its own, and
 * nobody waits for all of them. What comes on top of a queue is refused. Work is told whether others wait behind it.
 */
export function shareTurns({
  atOnce,
  waitingOfOne,
  waiting,
}: Turns): <T>(owner: string, work: (others: boolean) => Promise<T>) => Promise<T> {
  const queues = new Map<string, (() => void)[]>()
  let running = 0
  let queued = 0

  function wait(owner: string): Promise<void> {
    const queue = queues.get(owner) ?? []
    if (queue.length >= waitingOfOne || queued >= waiting) throw new Problem('too-many-requests')
    queues.set(owner, queue)
    queued += 1
    return new Promise((resolve) => queue.push(resolve))
  }

  /** The owner whose turn it is, who then is the last in the round. */
  function takeNext(): (() => void) | undefined {
    const [turn] = queues
    if (turn === undefined) return undefined
    const [owner, queue] = turn
    const next = queue.shift()
    queues.delete(owner)
    if (queue.length > 0) queues.set(owner, queue)
    queued -= 1
    return next
  }

  return async (owner, work) => {
    if (running >= atOnce) await wait(owner)
    else running += 1
    try {
      return await work(queued > 0)
    } finally {
      // A place is handed on, never given back and taken again: nobody slips in between.
      const next = takeNext()
      if (next) next()
      else running -= 1
    }
  }
}
