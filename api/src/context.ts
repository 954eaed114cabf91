import type { Database, Role } from '@capstan/migrations'
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import type { Networks } from './auth/client-address.js'
import type { CountryOf } from './auth/country-of.js'
import type { Scope } from './auth/permissions.js'
import { appsWith, channelsWith, type Reach } from './auth/reach.js'
import type { Assurance } from './auth/step-up.js'
import type { ObjectStore } from './objects/object-store.js'
import type { UrlSigner } from './objects/sign-object-url.js'
import type { StaticPlace } from './static-delivery/open-static-store.js'
import type { Issuers } from './openid/issuers.js'
import type { Outbound } from './outbound/create-outbound.js'
import type { OperatorFacts } from './operator/operator-facts.js'
import type { CheckIns } from './updates/check-ins.js'
import type { DeviceLimit } from './updates/limit-device.js'
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
  /** The proxies in front of this API whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. */
  proxies: Networks
  /** Null: this server has no database of the countries of addresses. */
  countryOf: CountryOf | null
  /** Keys token hashes. */
  pepper: Uint8Array
  leaseMs: number
  /** What devices may learn, in memory. */
  published: PublishedIndex
  /** What devices said, until it is written down. */
  checkIns: CheckIns
  makeAnswer: AnswerMaker
  /** Whether a device asked for updates more often than any app would make it. */
  isTooOften: DeviceLimit
  /** How often a worker says that it is there. */
  workerReportMs: number
  /** `host` or `host:port` on the operator's own network that sources of builds may name. */
  sourcePrivateHosts: readonly string[]
  /** Calls hosts that organizations name; `outboundPrivateHosts` may be in the operator's own network. */
  outbound: Outbound
  outboundPrivateHosts: readonly string[]
  /** Seals secrets of webhooks; the control process opens them. Null: no webhooks are sent. */
  webhookKey: Uint8Array | null
  /** Seals mails; the control process sends them. Null: this server mails nothing. */
  mailKey: Uint8Array | null
  /** What issuers of foreign tokens say of themselves, and their keys, for a while. */
  issuers: Issuers
  /** PKCS#8 PEM of the platform's Ed25519 key for channel statements; null: none is signed. */
  channelStatementKey: string | null
  /** Where static objects of live updates lie; null: there are none. */
  staticPlace: StaticPlace | null
  /** What this installation says about itself. */
  operator: OperatorFacts
  /** SHA-256 of the root certificates to which signatures of provisioning profiles must lead. */
  appleRoots: readonly string[]
}

/** Who acts. `user` through a session or an API token; `device` without any; `worker` through a lease, `operator` of the installation. */
export type Actor = {
  type: 'user' | 'device' | 'worker' | 'system' | 'operator'
  id: string
  role?: Role
  /** What this person may do in the organization or app that was asked about, through this token or session. */
  scopes?: ReadonlySet<Scope>
  /** The same by app and channel. */
  reach?: readonly Reach[]
  via?: { type: 'session' | 'token' | 'lease' | 'trust-policy'; id: string }
}

/** What an operation is given: the process's parts, the organization, who asks. */
export type Context = Deps & {
  orgId: string
  actor: Actor
  requestId: string
  /** Of people only: how they signed in. */
  assurance?: Assurance
  /** Of people only: whether they would be let in again now, and still have the scope. */
  stillAdmitted?: (scope: Scope) => Promise<boolean>
}

/** First line of every operation that a person can ask for. */
export function requireScope(ctx: Context, scope: Scope): void {
  if (ctx.actor.type === 'system') return
  if (!ctx.actor.scopes?.has(scope)) throw missing(ctx, scope)
}

/**
 * As `requireScope`, for one channel of the app: a role on the channel is enough. A channel that the caller may not even
 * read is 404, as if it did not exist.
 */
export function requireChannelScope(ctx: Context, scope: Scope, channelId: string): void {
  const has = (wanted: Scope) =>
    ctx.actor.scopes?.has(wanted) === true || channelsWith(ctx.actor.reach ?? [], wanted).includes(channelId)
  if (ctx.actor.type === 'system' || has(scope)) return
  throw has('channels:read') ? missing(ctx, scope) : new Problem('not-found', 'This app has no such channel.')
}

/** The channels to which a list of the app is limited; null: the caller has the scope in all of the app. */
export function readableChannels(ctx: Context, scope: Scope): readonly string[] | null {
  if (ctx.actor.type === 'system' || ctx.actor.scopes?.has(scope)) return null
  const channels = channelsWith(ctx.actor.reach ?? [], scope)
  if (channels.length === 0) throw missing(ctx, scope)
  return channels
}

/** The apps to which a list of the organization is limited; null: the caller has the scope in every one. */
export function readableApps(ctx: Context, scope: Scope): readonly string[] | null {
  if (ctx.actor.type === 'system') return null
  const apps = appsWith(ctx.actor.reach ?? [], scope)
  if (apps?.length === 0) throw missing(ctx, scope)
  return apps
}

/** For what belongs to the whole organization, where an app asks for it: a role in the app is not enough. */
export function requireScopeEverywhere(ctx: Context, scope: Scope): void {
  if (readableApps(ctx, scope) !== null) throw missing(ctx, scope)
}

function missing(ctx: Context, scope: Scope): Problem {
  const whose = ctx.actor.via?.type === 'token' ? 'This token' : 'Your role'
  return new Problem('permission-missing', `${whose} does not include "${scope}". Ask an owner of the organization.`)
}
