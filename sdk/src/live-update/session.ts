import type { BundleStorage } from './bundle-storage.js'
import type { LiveUpdateEvent, LiveUpdateListener } from './events.js'
import type { Fetch } from './fetch-bytes.js'
import type { Config } from './options.js'
import { readState, type State } from './state.js'

/** The world outside the client, as its arguments. */
export interface World {
  storage: BundleStorage
  fetch: Fetch
  /** Milliseconds since 1970. */
  now: () => number
  /** An unguessable text for each launch. */
  randomId: () => string
}

/** What every operation of one client shares. */
export interface Session {
  readonly config: Config
  readonly world: World
  emit(event: LiveUpdateEvent): void
  subscribe(listener: LiveUpdateListener): () => void
  /** The stored state, made and stored on first use. */
  load(): Promise<State>
  /** Changes the state, one change after the other; what `change` returns beside the state is handed back. */
  update<T>(change: (state: State) => Promise<{ state: State; result: T }>): Promise<T>
}

/** Ties checked options to a world. */
export function openSession(config: Config, world: World): Session {
  const listeners = new Set<LiveUpdateListener>()
  let queue: Promise<unknown> = Promise.resolve()

  async function change<T>(apply: (state: State) => Promise<{ state: State; result: T }>): Promise<T> {
    const text = await world.storage.readState()
    const { state, result } = await apply(readState(text, config.appId, config.nativeVersion))
    const next = JSON.stringify(state)
    if (next !== text) await world.storage.writeState(next)
    return result
  }

  const session: Session = {
    config,
    world,
    emit: (event) => {
      for (const listener of listeners) listener(event)
    },
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    load: () => session.update((state) => Promise.resolve({ state, result: state })),
    update: (apply) => {
      const turn = queue.then(() => change(apply))
      queue = turn.catch(() => null)
      return turn
    },
  }
  return session
}
