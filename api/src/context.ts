import type { Database, Role } from '@capstan/migrations'
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { type Scope, scopesOf } from './auth/permissions.js'
import type { ObjectStore } from './objects/object-store.js'
import type { UrlSigner } from './objects/sign-object-url.js'
import type { CheckIns } from './updates/check-ins.js'
import type { AnswerMaker } from './updates/make-answer.js'
import type { PublishedIndex } from './updates/published-index.js'
import type { SealClient } from './vault/seal-client.js'
import { Problem } from './problems.js'

/** What an API process holds: made once in `main.ts`, or by a test. */
export type Deps = {
  db: Database
  objects: ObjectStore
  /** Signs and checks the object URLs that this API serves itself. */
  objectUrls: UrlSigner
  /** Encrypts credentials at the broker; this process cannot open them. */
  seal: SealClient
  /** Rings listeners of live logs; nothing is kept there. */
  redis: Redis
  log: Logger
  now: () => Date
  publicUrl: string
  /** Keys token hashes. */
  pepper: Uint8Array
  leaseMs: number
  /** What devices may learn, in memory. */
  published: PublishedIndex
  /** What devices said, until it is written down. */
  checkIns: CheckIns
  makeAnswer: AnswerMaker
  /** Whether the device of this key asked for updates more often than any app would make it. */
  isTooOften: (key: string, now: number) => boolean
  /** How often a worker says that it is there. */
  workerReportMs: number
  /** `host` or `host:port` on the operator's own network that sources of builds may name. */
  sourcePrivateHosts: readonly string[]
  /** PKCS#8 PEM of the platform's Ed25519 key for channel statements; null: none is signed. */
  channelStatementKey: string | null
  /** SHA-256 of the root certificates to which signatures of provisioning profiles must lead. */
  appleRoots: readonly string[]
}

/** Who acts. `user` through a session or an API token; `device` without any; `worker` through a lease. */
export type Actor = {
  type: 'user' | 'device' | 'worker' | 'system'
  id: string
  role?: Role
  via?: { type: 'session' | 'token' | 'lease'; id: string }
}

/** What an operation is given: the process's parts, the organization, who asks. */
export type Context = Deps & { orgId: string; actor: Actor; requestId: string }

/** First line of every operation that a person can ask for. */
export function requireScope(ctx: Context, scope: Scope): void {
  if (ctx.actor.type === 'system') return
  if (ctx.actor.role && scopesOf(ctx.actor.role).has(scope)) return
  throw new Problem('permission-missing', `Your role does not include "${scope}". Ask an owner of the organization.`)
}
