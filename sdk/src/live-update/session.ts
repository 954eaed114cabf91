import type { ArchiveCodec } from '../archive/archive-codec.js'
import type { BundleStorage } from './bundle-storage.js'
import type { LiveUpdateEvent, LiveUpdateListener } from './events.js'
import type { Fetch } from './fetch-bytes.js'
import type { Launch } from './launch.js'
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
  /** The bundle that the app was shipped with, in the server's words, where the host knows it. */
  builtInBundleId?: () => Promise<string | null>
  /** How archives are unpacked; the web's way by default. */
  codec?: ArchiveCodec
  /** For hosts that show what was decided themselves, or in which something else decides, like a service worker. */
  host?: {
    launch(decide: () => Promise<Launch>, current: () => Promise<Launch>): Promise<Launch>
    apply(decide: () => Promise<Launch>, current: () => Promise<Launch>): Promise<Launch>
  }
  /** For storages that several clients use: runs a sync, told whether no other client is in one. */
  exclusively?<T>(run: (free: boolean) => Promise<T>): Promise<T>
}

/** What a client has to know about itself to decide what runs, apart from what it downloads. */
export type LaunchConfig = Pick<Config, 'appId' | 'nativeVersion'>
export type LaunchWorld = Pick<World, 'storage' | 'randomId'>

/** What every operation of one client shares. */
export interface Session<C extends LaunchConfig = Config, W extends LaunchWorld = World> {
  readonly config: C
  readonly world: W
  emit(event: LiveUpdateEvent): void
  subscribe(listener: LiveUpdateListener): () => void
  /** The stored state, made and stored on first use. */
  load(): Promise<State>
  /** Changes the state, one change after the other; what `change` returns beside the state is handed back. */
  update<T>(change: (state: State) => Promise<{ state: State; result: T }>): Promise<T>
}

/** Ties checked options to a world. */
export function openSession<C extends LaunchConfig, W extends LaunchWorld>(config: C, world: W): Session<C, W> {
  const listeners = new Set<LiveUpdateListener>()
  let queue: Promise<unknown> = Promise.resolve()

  async function change<T>(apply: (state: State) => Promise<{ state: State; result: T }>): Promise<T> {
    const text = await world.storage.readState()
    const { state, result } = await apply(readState(text, config.appId, config.nativeVersion))
    const next = JSON.stringify(state)
    if (next !== text) await world.storage.writeState(next)
    return result
  }

  const session: Session<C, W> = {
    config,
    world,
    emit: (event) => {
      for (const listener of listeners) {
        try {
          listener(event)
        } catch {
          // An app's log is no reason to refuse an update.
        }
      }
    },
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    load: () => session.update((state) => Promise.resolve({ state, result: state })),
    update: (apply) => {
      const { storage } = world
      const turn = queue.then(() => (storage.lock ? storage.lock(() => change(apply)) : change(apply)))
      queue = turn.catch(() => null)
      return turn
    },
  }
  return session
}
