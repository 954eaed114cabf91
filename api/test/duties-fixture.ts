import { apiTokens, memberships, newId, type OpenDatabase, openDatabase, type Role, withOrg } from '@capstan/migrations'
import { and, eq, inArray } from 'drizzle-orm'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import type { ControlDeps } from '../src/control/control-deps.js'
import { watchChanges } from '../src/control/watch-changes.js'
import { type Answer, createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { createKeyPair, createLiveUpdateApp, type LiveUpdateApp, refusal, zipOf } from './live-update-app.js'

export type Request = {
  id: string
  action: string
  state: string
  contentHash: string
  exception: boolean
  retroactive: boolean
  verdict: string | null
  [key: string]: unknown
}
export type Duties = { enabled: boolean; approvers: number; soleOperator: { until: string; reason: string } | null }
export type Event = {
  action: string
  actor: { type: string; id: string }
  target: Record<string, string>
  data: Record<string, unknown>
  personal: Record<string, unknown>
}

export const MINUTE = 60_000
export const HOUR = 60 * MINUTE
/** Signs the bundles of every app here. */
export const key = createKeyPair()
let counter = 0

/** An API and a control process with one clock that tests move. */
export class DutiesStage implements AsyncDisposable {
  readonly fixture: Fixture
  readonly database: OpenDatabase
  readonly control: ControlDeps
  static now = Date.now()

  private constructor(fixture: Fixture, database: OpenDatabase) {
    this.fixture = fixture
    this.database = database
    const { objects } = fixture.deps
    this.control = { db: database.db, objects, log: pino({ level: 'silent' }), now } as ControlDeps
  }

  static async open(options: { sealSocket?: string } = {}): Promise<DutiesStage> {
    const fixture = await createFixture({ ...options, overrides: { now } })
    return new DutiesStage(fixture, openDatabase({ url: fixture.databaseUrl('control'), poolSize: 4 }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database[Symbol.asyncDispose]()
    await this.fixture[Symbol.asyncDispose]()
  }
}

const now = () => new Date(DutiesStage.now)

/** An organization with an app whose channel "production" is protected and serves a signed bundle. */
export class DutiesOrg {
  readonly stage: DutiesStage
  readonly org: TestOrganization
  readonly app: LiveUpdateApp
  channelId = ''

  private constructor(stage: DutiesStage, org: TestOrganization, app: LiveUpdateApp) {
    this.stage = stage
    this.org = org
    this.app = app
  }

  static async create(stage: DutiesStage, { enabled = true } = {}): Promise<DutiesOrg> {
    const org = await stage.fixture.createOrganization()
    // Tests move the clock by weeks.
    const expiresAt = new Date(DutiesStage.now + 90 * 24 * HOUR)
    await withOrg(stage.fixture.deps.db, org.id, (tx) => tx.update(apiTokens).set({ expiresAt }))
    const made = new DutiesOrg(stage, org, await createLiveUpdateApp(stage.fixture, org))
    await made.app.must('POST', '/public-keys', { pem: key.publicPem })
    made.channelId = (await made.app.must('POST', '/channels', { name: 'production', protected: true })).id
    await made.build('production')
    if (enabled) await made.enable()
    return made
  }

  async enable(): Promise<void> {
    const answer = await this.call('PATCH', '/separation-of-duties', { enabled: true }, await this.session('owner'))
    expect(answer.status).toBe(200)
  }

  /** A signed bundle, deployed nowhere unless a channel is named; gives the id of its build. */
  async build(channelName?: string): Promise<string> {
    const content = zipOf({ 'index.html': `duties ${(counter += 1)}` })
    const bundle = channelName === undefined ? {} : { channelName }
    const { bundle: made, response } = await this.app.publishZip(content, { bundle, signature: key.sign(content) })
    expect(response.status, await response.clone().text()).toBe(200)
    return made.appBuildId
  }

  call(method: string, path: string, body?: object, token = this.org.tokens.owner): Promise<Answer> {
    return this.stage.fixture.request(method, `/v1/organizations/${this.org.id}${path}`, {
      token,
      ...(body && { body }),
    })
  }
  /** A session that presented its second factor just now. */
  async session(role: Role): Promise<string> {
    return (await this.stage.fixture.signIn(this.org.userIds[role], { secondFactorAt: now() })).token
  }

  /** Asks as the administrator; the refusal names the request it filed. */
  deploy(appBuildId: string, rolloutPercentage = 1, token = this.org.tokens.admin): Promise<Answer> {
    return this.app.call('POST', '/deployments', { appBuildId, appChannelName: 'production', rolloutPercentage }, token)
  }
  async filed(answer: Answer, code?: string): Promise<string> {
    const problem = (await answer.clone().json()) as { code: string }
    // What an earlier test had approved and never did counts as edited.
    const expected = problem.code === 'approval-stale' ? 'approval-stale' : 'approval-needed'
    const sentence = await refusal(answer, 409, code ?? expected)
    const id = /Change request ([\da-f-]{36})/.exec(sentence)?.[1]
    if (!id) throw new Error(`No change request in: ${sentence}`)
    return id
  }

  /** A request for such a release. */
  async submit(): Promise<string> {
    return this.filed(await this.deploy(await this.build()))
  }
  /** Such a release, to be tried again and again. */
  async deployAct(): Promise<() => Promise<Answer>> {
    const build = await this.build()
    return () => this.deploy(build)
  }

  step(id: string, verb: string, token: string, body: object = {}): Promise<Answer> {
    return this.call('POST', `/change-requests/${id}/${verb}`, body, token)
  }
  async approve(id: string, token = this.org.tokens.approver, body: object = {}): Promise<Request> {
    const answer = await this.step(id, 'approve', token, body)
    expect(answer.status, await answer.clone().text()).toBe(200)
    return answer.json<Request>()
  }
  async see(id: string): Promise<Request & { steps: { step: string; actorType: string; [key: string]: unknown }[] }> {
    return (await this.call('GET', `/change-requests/${id}`)).json()
  }
  async list(query = ''): Promise<Request[]> {
    return (await this.call('GET', `/change-requests${query}`)).json()
  }
  async duties(): Promise<Duties> {
    return (await this.call('GET', '/separation-of-duties')).json()
  }
  /** Refused, approved, done. */
  async carryOut(act: () => Promise<Answer>): Promise<string> {
    const id = await this.filed(await act())
    await this.approve(id)
    const done = await act()
    expect(done.status, await done.clone().text()).toBeLessThan(300)
    return id
  }

  async events(action: string): Promise<Event[]> {
    const answer = await this.call('GET', `/audit-events?limit=1000&action=${action}`)
    const rows = await answer.json<{ event: string; personal: Event['personal'] }[]>()
    return rows.map(({ event, personal }) => ({ ...(JSON.parse(event) as Event), personal }))
  }

  /** Past the routes of members, which want a second person for it. */
  async setRole(role: Role, to: Role): Promise<void> {
    const userId = this.org.userIds[role]
    await withOrg(this.stage.fixture.deps.db, this.org.id, (tx) =>
      tx
        .update(memberships)
        .set({ role: to })
        .where(and(eq(memberships.orgId, this.org.id), eq(memberships.userId, userId))),
    )
  }
  /** As a review of access does it; null gives the role back. */
  async suspend(role: Role, suspendedAt: Date | null = now()): Promise<void> {
    const userId = this.org.userIds[role]
    await withOrg(this.stage.fixture.deps.db, this.org.id, (tx) =>
      tx.update(memberships).set({ suspendedAt }).where(eq(memberships.userId, userId)),
    )
  }
  async leave(...gone: Role[]): Promise<void> {
    const ids = gone.map((role) => this.org.userIds[role])
    await withOrg(this.stage.fixture.deps.db, this.org.id, (tx) =>
      tx.delete(memberships).where(and(eq(memberships.orgId, this.org.id), inArray(memberships.userId, ids))),
    )
  }
  async join(role: Role, as: Role = role): Promise<void> {
    await withOrg(this.stage.fixture.deps.db, this.org.id, (tx) =>
      tx.insert(memberships).values({ orgId: this.org.id, userId: this.org.userIds[role], role: as }),
    )
  }
  /** The owner alone may approve from here on, a day later. */
  async becomeSolo(): Promise<void> {
    await this.leave('admin', 'approver')
    DutiesStage.now += 25 * HOUR
    const body = { reason: 'I am the only person here.', days: 30 }
    const answer = await this.call('PUT', '/separation-of-duties/sole-operator', body, await this.session('owner'))
    expect(answer.status, await answer.clone().text()).toBe(200)
  }

  async serviceToken(as: Role, scopes: string[]): Promise<{ id: string; token: string }> {
    const body = { name: `service ${newId()}`, kind: 'service', scopes }
    const answer = await this.call('POST', '/tokens', body, await this.session(as))
    expect(answer.status, await answer.clone().text()).toBe(201)
    return answer.json()
  }
  async tokenRow(id: string) {
    const [row] = await withOrg(this.stage.fixture.deps.db, this.org.id, (tx) =>
      tx.select().from(apiTokens).where(eq(apiTokens.id, id)),
    )
    return row
  }

  /** One pass of the control process. */
  watch(): Promise<number> {
    return watchChanges(this.stage.control)
  }
}

/** Of the test file that called `useDuties`. */
export let stage: DutiesStage
export let acme: DutiesOrg

/** A stage for the tests of a file, each of which begins now. */
export function useDuties(): void {
  beforeAll(async () => {
    stage = await DutiesStage.open()
  })
  beforeEach(() => {
    DutiesStage.now = Date.now()
  })
  afterAll(() => stage[Symbol.asyncDispose]())
}

/** Another organization on that stage. */
export async function settle(): Promise<void> {
  DutiesStage.now = Date.now()
  acme = await DutiesOrg.create(stage)
}
