import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OpenAPIHono } from '@hono/zod-openapi'
import {
  apiTokens,
  memberships,
  newId,
  organizations,
  type Role,
  roles,
  users,
  withLookup,
  withOrg,
  withUser,
  workers,
} from '@capstan/migrations'
import { createTestDatabase } from '@capstan/migrations/testing'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { createApp } from '../src/app.js'
import type { Env } from '../src/auth/access.js'
import { networksOf } from '../src/auth/client-address.js'
import { createToken, hashToken } from '../src/auth/tokens.js'
import type { Deps } from '../src/context.js'
import { keepCheckInLogs } from '../src/insight/check-in-log.js'
import { openObjectStore } from '../src/objects/open-object-store.js'
import { createIssuers } from '../src/openid/issuers.js'
import { createOutbound } from '../src/outbound/create-outbound.js'
import { openUpdates } from '../src/updates/open-updates.js'
import { openSession } from '../src/sessions/open-session.js'
import { createSealClient } from '../src/vault/seal-client.js'

export type TestOrganization = { id: string; tokens: Record<Role, string>; userIds: Record<Role, string> }

/** A response whose JSON a test names the shape of: `await answer.json<{ id: string }>()`. */
export type Answer = Omit<Response, 'json'> & { json<T = Record<string, unknown>>(): Promise<T> }

export type Fixture = {
  deps: Deps
  app: OpenAPIHono<Env>
  ownerUrl: string
  databaseUrl(role: 'api' | 'control' | 'broker'): string
  /** A folder of this fixture, removed with it. */
  folder: string
  createOrganization(name?: string): Promise<TestOrganization>
  /** A session as signing in opens it; with a second factor presented at `secondFactorAt`, by a provider of `onlyOrgId`. */
  signIn(
    userId: string,
    options?: { secondFactorAt?: Date | null; client?: 'api' | 'cli' | 'page'; onlyOrgId?: string | null },
  ): Promise<{ id: string; token: string }>
  createWorker(): Promise<{ id: string; token: string }>
  /** A request as a browser or the CLI would send it; a plain object becomes a JSON body. */
  request(
    method: string,
    path: string,
    options?: { token?: string; body?: unknown; headers?: Record<string, string>; address?: string },
  ): Promise<Answer>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * The API on a database, an object store and a pepper of its own. `TEST_REDIS_URL` names Redis; `sealSocket` a running
 * broker where a test needs one.
 */
export async function createFixture(
  options: { sealSocket?: string; overrides?: Partial<Deps> } = {},
): Promise<Fixture> {
  const folder = await mkdtemp(join(tmpdir(), 'capstan-api-'))
  const database = await createTestDatabase()
  const opened = database.open('api')
  const pepper = randomBytes(32)
  const publicUrl = 'http://capstan.test'
  const keyFile = join(folder, 'object-store.key')
  await writeFile(keyFile, randomBytes(32), { mode: 0o600 })
  const objects = await openObjectStore(
    { kind: 'filesystem', dir: join(folder, 'objects'), keyFile },
    { publicUrl, urlSecret: pepper },
  )
  const redis = new Redis(process.env.TEST_REDIS_URL ?? 'redis://127.0.0.1:6379', { lazyConnect: true })
  redis.on('error', () => {})
  const outboundPrivateHosts = options.overrides?.outboundPrivateHosts ?? []
  const outbound = createOutbound({ privateHosts: outboundPrivateHosts })
  const chosen = { publicUrl, channelStatementKey: null, ...options.overrides }
  const log = pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' })
  const updates = await openUpdates({ ...opened, log, pollMs: 500, ...chosen })
  const deps: Deps = {
    ...updates.parts,
    db: opened.db,
    objects: objects.store,
    objectUrls: objects.urls,
    seal: createSealClient(options.sealSocket ?? join(folder, 'no-broker.sock')),
    redis,
    log,
    now: () => new Date(),
    publicUrl,
    proxies: networksOf([]),
    pepper,
    leaseMs: 60_000,
    workerReportMs: 20_000,
    sourcePrivateHosts: [],
    webhookKey: randomBytes(32),
    mailKey: null,
    outbound,
    outboundPrivateHosts,
    issuers: createIssuers(outbound),
    channelStatementKey: null,
    staticPlace: null,
    appleRoots: [],
    countryOf: null,
    operator: { disclosure: null, subprocessors: [], region: null },
    ...options.overrides,
  }
  keepCheckInLogs(deps)
  const app = createApp(deps)
  return {
    deps,
    app,
    folder,
    ownerUrl: database.ownerUrl,
    databaseUrl: (role) => database.url(role),
    createOrganization: (name = 'Test') => createOrganization(deps, name),
    signIn: (userId, { secondFactorAt = null, client = 'api', onlyOrgId = null } = {}) =>
      openSession(deps, {
        userId,
        client,
        method: 'test',
        twoFactor: secondFactorAt !== null,
        secondFactorAt,
        onlyOrgId,
        userAgent: 'test',
        requestId: 'test',
      }),
    createWorker: () => createWorker(deps),
    request: async (method, path, { token, body, headers, address = nextAddress() } = {}) =>
      (await app.request(
        path,
        {
          method,
          headers: {
            ...(token ? { authorization: `Bearer ${token}` } : {}),
            ...(isPlain(body) ? { 'content-type': 'application/json' } : {}),
            ...headers,
          },
          ...(body === undefined
            ? {}
            : { body: isPlain(body) ? JSON.stringify(body) : (body as string | FormData | Uint8Array<ArrayBuffer>) }),
        },
        { incoming: { socket: { remoteAddress: address } } },
      )) as Answer,
    [Symbol.asyncDispose]: async () => {
      redis.disconnect()
      await updates[Symbol.asyncDispose]()
      await opened[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

let addresses = 0
/** Of 198.18.0.0/15. Networks have shares that last for minutes: no test meets what another used up. */
function nextAddress(): string {
  addresses += 1
  return `198.${18 + ((addresses >> 16) & 1)}.${(addresses >> 8) & 255}.${addresses & 255}`
}

function isPlain(body: unknown): boolean {
  return (
    Array.isArray(body) ||
    (typeof body === 'object' && body !== null && Object.getPrototypeOf(body) === Object.prototype)
  )
}

async function createOrganization(deps: Deps, name: string): Promise<TestOrganization> {
  const orgId = newId()
  const tokens: Partial<Record<Role, string>> = {}
  const userIds: Partial<Record<Role, string>> = {}
  for (const role of roles) {
    const userId = newId()
    userIds[role] = userId
    await withUser(deps.db, userId, (tx) => tx.insert(users).values({ id: userId, email: `${userId}@example.test` }))
  }
  await withOrg(deps.db, orgId, async (tx) => {
    await tx.insert(organizations).values({ id: orgId, name })
    for (const role of roles) {
      const token = createToken('ca')
      tokens[role] = token
      await tx.insert(memberships).values({ orgId, userId: userIds[role]!, role })
      await tx.insert(apiTokens).values({
        id: newId(),
        orgId,
        userId: userIds[role]!,
        name: role,
        tokenHash: hashToken(deps.pepper, token),
        lastFour: token.slice(-4),
        expiresAt: new Date(Date.now() + 86_400_000),
      })
    }
  })
  return { id: orgId, tokens: tokens as Record<Role, string>, userIds: userIds as Record<Role, string> }
}

async function createWorker(deps: Deps): Promise<{ id: string; token: string }> {
  const id = newId()
  const token = createToken('cw')
  const tokenHash = hashToken(deps.pepper, token)
  await withLookup(deps.db, tokenHash, (tx) => tx.insert(workers).values({ id, name: 'test-worker', tokenHash }))
  return { id, token }
}
