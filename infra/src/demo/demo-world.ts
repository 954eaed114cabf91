import type { Config } from '../config.js'
import { Failure } from '../failure.js'
import type { Say } from '../report-progress.js'
import type { Stack } from '../stack/start-stack.js'

/** What the steps of the demo share; each adds what it made. */
export interface DemoWorld {
  readonly config: Config
  readonly say: Say
  readonly stack: Stack
  /** Temporary folder that plays the customer's machine. */
  readonly folder: string
  readonly made: Partial<Made>
}

interface Made {
  organizationId: string
  token: string
  appId: string
  keystore: Keystore
  apkFile: string
  containers: readonly ContainerSeen[]
  keys: KeyPair
  /** Folder of the web build that was published. */
  webBundle: string
  publishedVersion: string
  /** Folder of the web files in the APK. */
  builtInDirectory: string
}

export interface KeyPair {
  readonly privateFile: string
  readonly publicFile: string
}

export interface Keystore {
  readonly name: string
  readonly bytes: Uint8Array
  readonly password: string
  readonly keyPassword: string
  readonly alias: string
  readonly certificateSha256: string
}

/** A container as `docker inspect` showed it during the build. */
export interface ContainerSeen {
  readonly id: string
  /** One text for each time that its description changed. */
  readonly inspections: readonly string[]
}

/** What an earlier step made. */
export function need<Name extends keyof Made>(world: DemoWorld, name: Name): Made[Name] {
  const value = world.made[name]
  if (value === undefined) throw new Failure(`The demo has no ${name} yet.`)
  return value
}

/** Ends the demo unless the claim holds. */
export function prove(holds: boolean, claim: string): void {
  if (!holds) throw new Failure(`Not so: ${claim}`)
}
