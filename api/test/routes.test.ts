import { apps, memberships, newId, roleGrants, roles, teamMembers, teams, withOrg } from '@capstan/migrations'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { appScopes, isScope, scopesOf, type Scope } from '../src/auth/permissions.js'
import { problems } from '../src/problems.js'
import { queueBuild } from './build-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'

type Operation = { operationId: string; security?: Record<string, string[]>[]; responses: Record<string, unknown> }

const UNKNOWN_ID = '018f0000-0000-7000-8000-000000000000'
const AT_ONCE = 8
/** Reachable by anyone: what devices ask, signed links, signing in, and pages about the API itself. */
const PUBLIC = [
  'getDataPolicy',
  'listControls',
  'listSubprocessors',
  'showSecurityText',
  'getProvenanceKey',
  'listCheckpointKeys',
  'showBuildShare',
  'showInstallManifest',
  'downloadSharedArtifact',
  'drawQrCode',
  'checkForUpdate',
  'createPasskeyChallenge',
  'createSession',
  'createInvitedAccount',
  'redeemPasswordReset',
  'requestPasswordReset',
  'createSessionCode',
  'downloadBundle',
  'downloadObject',
  'downloadPatch',
  'exchangeCiToken',
  'explainProblem',
  'getDeletionCertificate',
  'getStaticObject',
  'health',
  'issueDeviceToken',
  'listDeletionKeys',
  'listPlatformKeys',
  'listRoots',
  'rejectInvitation',
  'uploadObject',
]

/** Of a person, whatever the organization: what is theirs, and what finds its organization in the query. */
const PERSONAL = [
  'acceptInvitation',
  'changePassword',
  'confirmSession',
  'confirmTotp',
  'createApp',
  'createOrganization',
  'deleteAccount',
  'deleteOtherSessions',
  'deleteSession',
  'getMe',
  'leaveOrganization',
  'listApps',
  'listJobs',
  'listOrganizations',
  'listPasskeys',
  'listSessions',
  'offerPasskey',
  'registerPasskey',
  'removePasskey',
  'removeTotp',
  'redeemEmailChange',
  'renewRecoveryCodes',
  'requestEmailChange',
  'startTotp',
]

/** Of the organization, and let in with a role in one of its apps for what belongs to that. */
const PER_APP = ['cancelChangeRequest', 'getChangeRequest', 'listChangeRequests']

let fixture: Fixture
let org: TestOrganization
type Route = { method: string; path: string; template: string; operation: Operation }
let routes: Route[]

beforeAll(async () => {
  fixture = await createFixture()
  org = await fixture.createOrganization()
  const document = fixture.app.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'x', version: '1' } })
  routes = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.entries(item as Record<string, Operation>).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{[^}]+\}/g, UNKNOWN_ID),
      template: path,
      operation,
    })),
  )
})
afterAll(() => fixture[Symbol.asyncDispose]())

const send = (method: string, path: string, token?: string) =>
  fixture.request(method, path, { ...(token ? { token } : {}), ...(method === 'GET' ? {} : { body: {} }) })

describe('every route', () => {
  test('has an operation id of its own and a problem response', () => {
    const ids = routes.map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
    expect(routes.length).toBeGreaterThan(15)
    for (const { operation } of routes) expect(operation.responses).toHaveProperty('default')
  })

  test('refuses an anonymous caller, but for a short list', async () => {
    const open: string[] = []
    for (const { method, path, operation } of routes) {
      const answer = await send(method, path)
      if (answer.status !== 401) open.push(operation.operationId)
      if ((operation.security ?? []).length === 0) expect(PUBLIC).toContain(operation.operationId)
    }
    expect(open.filter((id) => !PUBLIC.includes(id) && id !== 'listChannels')).toEqual([])
  })

  test('refuses a token that looks right but is unknown', async () => {
    for (const { method, path, operation } of routes) {
      if ((operation.security ?? []).length === 0) continue
      const answer = await send(method, path, `ca_${'A'.repeat(36)}`)
      expect([operation.operationId, answer.status]).toEqual([operation.operationId, 401])
    }
  })

  test('answers 404 for ids it does not know, with a problem document', async () => {
    for (const { method, path, operation } of routes) {
      if (!path.includes(UNKNOWN_ID) || !operation.security?.some((entry) => (entry.token ?? []).length > 0)) continue
      const answer = await send(method, path, org.tokens.owner)
      expect([operation.operationId, answer.status]).toEqual([operation.operationId, 404])
      expect(Object.keys(problems)).toContain((await answer.json<{ code: string }>()).code)
    }
  })
})

const scopeOf = ({ operation }: Route): Scope | null => {
  const named = (operation.security ?? []).flatMap((entry) => entry.token ?? [])
  expect(named.length, operation.operationId).toBeLessThan(2)
  return named[0] !== undefined && isScope(named[0]) ? named[0] : null
}

test('a route without a rule is of a device, of a worker, of an operator, or of a short list', () => {
  const ruleless = routes.filter((route) => scopeOf(route) === null && (route.operation.security ?? []).length > 0)
  const others = ruleless.filter(({ template }) => !/^\/(?:worker|operator)\/v1\//.test(template))
  expect(others.map(({ operation }) => operation.operationId).sort()).toEqual([...PERSONAL, 'recordLaunches'].sort())
})

describe('every route and every role', () => {
  type Place = 'organization' | 'app' | 'other app'
  type Caller = { token: string; scopesIn: (place: Place) => ReadonlySet<Scope> | null }
  const nothing: ReadonlySet<Scope> = new Set()
  let appIds: Record<Exclude<Place, 'organization'>, string>
  let jobIds: typeof appIds
  const callers = new Map<string, Caller>()
  const names = [...roles, 'stranger', 'member of one app', 'viewer of one app by a team', 'suspended owner'] as const

  beforeAll(async () => {
    appIds = { app: await newApp(), 'other app': await newApp() }
    const jobOf = async (id: string) => (await queueBuild(fixture, { id, org, token: org.tokens.member })).jobId
    jobIds = { app: await jobOf(appIds.app), 'other app': await jobOf(appIds['other app']) }
    const fresh = async (userId: string) => (await fixture.signIn(userId, { secondFactorAt: new Date() })).token
    for (const role of roles)
      callers.set(role, { token: await fresh(org.userIds[role]), scopesIn: () => scopesOf(role) })
    const rival = await fixture.createOrganization('Rival')
    callers.set('stranger', { token: await fresh(rival.userIds.owner), scopesIn: () => null })
    // People of the rival who belong here too, with nothing but what is said below.
    const [direct, byTeam, suspended] = [rival.userIds.admin, rival.userIds.member, rival.userIds.viewer]
    await withOrg(fixture.deps.db, org.id, async (tx) => {
      const [orgId, teamId, appId] = [org.id, newId(), appIds.app]
      for (const userId of [direct, byTeam]) await tx.insert(memberships).values({ orgId, userId, role: 'none' })
      await tx.insert(memberships).values({ orgId, userId: suspended, role: 'owner', suspendedAt: new Date() })
      await tx.insert(teams).values({ id: teamId, orgId, name: 'Team' })
      await tx.insert(teamMembers).values({ orgId, teamId, userId: byTeam })
      await tx.insert(roleGrants).values({ id: newId(), orgId, userId: direct, role: 'member', appId })
      await tx.insert(roleGrants).values({ id: newId(), orgId, teamId, role: 'viewer', appId })
    })
    const inApp = (role: 'member' | 'viewer') => {
      const scopes = new Set([...scopesOf(role)].filter((scope) => appScopes.has(scope)))
      return (place: Place) => (place === 'app' ? scopes : nothing)
    }
    callers.set('member of one app', { token: await fresh(direct), scopesIn: inApp('member') })
    callers.set('viewer of one app by a team', { token: await fresh(byTeam), scopesIn: inApp('viewer') })
    callers.set('suspended owner', { token: await fresh(suspended), scopesIn: () => nothing })
  })

  async function newApp(): Promise<string> {
    const id = newId()
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.insert(apps).values({ id, orgId: org.id, name: 'x', type: 'capacitor' }),
    )
    return id
  }

  /**
   * The path with what exists; every other id is none, so that whoever is let in is told that it is not valid. The apps
   * have unfinished builds, so that nobody can delete them.
   */
  function pathIn({ template }: Route, place: Exclude<Place, 'organization'>): string {
    return template
      .replace('{organizationId}', org.id)
      .replace('{appId}', appIds[place])
      .replace('{jobId}', jobIds[place])
      .replaceAll(/\{[^}]+\}/g, 'x')
  }

  async function outcomeOf(route: Route, token: string, place: Exclude<Place, 'organization'>): Promise<string> {
    const answer = await send(route.method, pathIn(route, place), token)
    if (!answer.headers.get('content-type')?.includes('problem')) {
      await answer.body?.cancel()
      return 'allowed'
    }
    const { code, detail } = await answer.json<{ code: string; detail: string }>()
    if (answer.status === 401) return 'unknown'
    if (answer.status === 403) return code === 'permission-missing' ? 'forbidden' : code
    return code === 'not-found' && detail === 'Not found.' ? 'hidden' : 'allowed'
  }

  function expected(route: Route, scope: Scope, { scopesIn }: Caller, place: Exclude<Place, 'organization'>): string {
    const isInApp = !route.template.startsWith('/v1/organizations/{organizationId}')
    const scopes = scopesIn(isInApp ? place : 'organization')
    if (scopes === null || (isInApp && !scopes.has('apps:read'))) return 'hidden'
    if (PER_APP.includes(route.operation.operationId) && scopesIn('app')?.has(scope)) return 'allowed'
    return scopes.has(scope) ? 'allowed' : 'forbidden'
  }

  test.each(names)('%s may do what the catalogue says and nothing else', async (name) => {
    const caller = callers.get(name)
    if (!caller) throw new Error(`There is no caller "${name}".`)
    const asked: { route: Route; place: Exclude<Place, 'organization'>; wanted: string }[] = []
    for (const route of routes) {
      const scope = scopeOf(route)
      if (scope === null) continue
      expect(route.template).toMatch(/^\/v1\/(apps\/\{appId\}|jobs\/\{jobId\}|organizations\/\{organizationId\})/)
      for (const place of ['app', 'other app'] as const) {
        if (place === 'other app' && route.template.startsWith('/v1/organizations/')) continue
        asked.push({ route, place, wanted: expected(route, scope, caller, place) })
      }
    }
    const line = ({ route, place }: (typeof asked)[number], outcome: string) =>
      `${route.operation.operationId} in the ${place}: ${outcome}`
    const found: string[] = []
    for (let at = 0; at < asked.length; at += AT_ONCE) {
      const some = asked.slice(at, at + AT_ONCE)
      const outcomes = some.map(async (one) => line(one, await outcomeOf(one.route, caller.token, one.place)))
      found.push(...(await Promise.all(outcomes)))
    }
    expect(found).toEqual(asked.map((one) => line(one, one.wanted)))
    expect(found.length).toBeGreaterThan(150)
  })

  test.each(names)('%s finds in the lists of the organization what the catalogue says', async (name) => {
    const { token, scopesIn } = callers.get(name) ?? { token: '', scopesIn: () => null }
    const query = `?organizationId=${org.id}`
    const anywhere = (scope: Scope) => (['organization', 'app'] as const).some((place) => scopesIn(place)?.has(scope))
    const wanted = (isAllowed: boolean, status: number) => (scopesIn('organization') ? (isAllowed ? status : 403) : 404)
    const created = await fixture.request('POST', `/v1/apps${query}`, { token, body: { name: 'x' } })
    expect(created.status).toBe(wanted(scopesIn('organization')?.has('apps:write') === true, 201))
    for (const [path, scope] of [
      ['/v1/apps', 'apps:read'],
      ['/v1/jobs', 'builds:read'],
    ] as const) {
      const listed = await fixture.request('GET', path + query, { token })
      expect([path, listed.status]).toEqual([path, wanted(anywhere(scope), 200)])
      if (listed.status !== 200) continue
      const ids = (await listed.json<{ id: string; appId?: string }[]>()).map(({ id, appId }) => appId ?? id)
      expect(ids).toContain(appIds.app)
      expect(ids.includes(appIds['other app'])).toBe(scopesIn('organization')?.has(scope))
    }
  })
})
