import { randomUUID } from 'node:crypto'
import { deviceCodes, memberships, userIdentities, users, withLookup, withOrg, withUser } from '@capstan/migrations'
import { and, eq } from 'drizzle-orm'
import { describe, expect, test } from 'vitest'
import { deviceHashOf } from '../src/device-codes/device-code-hashes.js'
import { ORIGIN, sessionOf } from './federated-fixture.js'
import {
  begin,
  claims,
  finish,
  fixture,
  issuer,
  me,
  org,
  owner,
  providerOf,
  refused,
  signIn,
  useFederation,
} from './federated-stage.js'

useFederation()

describe('who may come in', () => {
  test('nobody new where no role is given, and nobody who was removed', async () => {
    const closed = await providerOf({ joinRole: null })
    const begun = await begin(closed)
    expect(await refused(await finish(begun, await issuer.sign(claims(begun, { sub: 'new' }))))).toContain(
      'link this provider',
    )
    const open = await providerOf()
    const { id } = await me(await signIn(open, { sub: 'leaver' }))
    await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.delete(memberships).where(and(eq(memberships.orgId, org.id), eq(memberships.userId, id))),
    )
    const again = await begin(open)
    expect(await refused(await finish(again, await issuer.sign(claims(again, { sub: 'leaver' }))))).toContain(
      'do not belong',
    )
  })

  test('a person who is signed in links an identity, and comes in by it from then on', async () => {
    const provider = await providerOf({ joinRole: null })
    const page = await fixture.signIn(org.userIds.viewer, { client: 'page' })
    const cookie = `__Host-capstan=${page.token}`
    const sub = randomUUID()
    const begun = await begin(provider, { intent: 'link' }, cookie)
    const linked = await finish(begun, await issuer.sign(claims(begun, { sub })))
    expect([linked.status, sessionOf(linked), await linked.text()]).toEqual([
      200,
      '',
      expect.stringContaining('is linked'),
    ])
    expect((await me(await signIn(provider, { sub }))).id).toBe(org.userIds.viewer)
    // Another person cannot take it.
    const other = `__Host-capstan=${(await fixture.signIn(org.userIds.admin, { client: 'page' })).token}`
    const stolen = await begin(provider, { intent: 'link' }, other)
    expect(await refused(await finish(stolen, await issuer.sign(claims(stolen, { sub }))))).toContain('another account')
  })

  test('who signs in by an identity is the person who linked it: no second one to approve a change', async () => {
    const provider = await providerOf({ joinRole: null })
    const secondFactorAt = new Date()
    const linked = async (role: 'owner' | 'approver') => {
      const sub = randomUUID()
      const page = await fixture.signIn(org.userIds[role], { client: 'page', secondFactorAt })
      const begun = await begin(provider, { intent: 'link' }, `__Host-capstan=${page.token}`)
      expect((await finish(begun, await issuer.sign(claims(begun, { sub })))).status).toBe(200)
      return signIn(provider, { sub })
    }
    const path = `/v1/organizations/${org.id}`
    const call = (method: string, below: string, body: object, token: string) =>
      fixture.request(method, `${path}${below}`, { token, body })
    const { token: owner } = await fixture.signIn(org.userIds.owner, { secondFactorAt })
    expect((await call('PATCH', '/separation-of-duties', { enabled: true }, owner)).status).toBe(200)
    const change = () => call('PATCH', '', { artifactRetentionDays: 9 }, owner)
    const { detail } = await (await change()).json<{ detail: string }>()
    const request = /Change request ([\da-f-]{36})/.exec(detail)?.[1] ?? detail
    const approve = (token: string) => call('POST', `/change-requests/${request}/approve`, {}, token)
    const own = await approve(await linked('owner'))
    expect([own.status, (await own.json<{ code: string }>()).code]).toEqual([403, 'self-approval'])
    expect((await approve(await linked('approver'))).status).toBe(200)
    expect((await change()).status).toBe(200)
  })

  test('linking needs a fresh sign-in of one’s own, and the provider’s organization', async () => {
    const provider = await providerOf()
    const post = (cookie: string) =>
      fixture.request('POST', '/login/provider', {
        headers: { origin: ORIGIN, 'content-type': 'application/x-www-form-urlencoded', cookie },
        body: new URLSearchParams({ provider: provider.id, intent: 'link' }).toString(),
      })
    expect((await post('')).status).toBe(400)
    const federated = await signIn(provider)
    expect((await post(`__Host-capstan=${federated}`)).status).toBe(400)
    const rival = await fixture.createOrganization()
    const stranger = `__Host-capstan=${(await fixture.signIn(rival.userIds.owner, { client: 'page' })).token}`
    const begun = await begin(provider, { intent: 'link' }, stranger)
    const sub = randomUUID()
    await refused(await finish(begun, await issuer.sign(claims(begun, { sub }))))
    const rows = await withOrg(fixture.deps.db, org.id, (tx) =>
      tx.select().from(userIdentities).where(eq(userIdentities.subject, sub)),
    )
    expect(rows).toEqual([])
  })

  test('who came in that way is found by no address, and keeps nobody else from having it', async () => {
    const email = `${randomUUID()}@acme.example`
    await signIn(await providerOf(), { sub: randomUUID(), email })
    const found = await withLookup(fixture.deps.db, email, (tx) => tx.select().from(users))
    expect(found).toEqual([])
    const id = randomUUID()
    await withUser(fixture.deps.db, id, (tx) => tx.insert(users).values({ id, email }))
    const other = randomUUID()
    const again = withUser(fixture.deps.db, other, (tx) => tx.insert(users).values({ id: other, email }))
    await expect(again).rejects.toMatchObject({ cause: { code: '23505' } })
  })
})

describe('what a provider vouches for counts in its organization only', () => {
  test('the session neither sees another one nor changes what is personal, and a command line gets no more', async () => {
    const provider = await providerOf({ joinRole: null })
    const rival = await fixture.createOrganization()
    const [userId, sub] = [org.userIds.viewer, randomUUID()]
    await withOrg(fixture.deps.db, rival.id, (tx) =>
      tx.insert(memberships).values({ orgId: rival.id, userId, role: 'owner' }),
    )
    const page = `__Host-capstan=${(await fixture.signIn(userId, { client: 'page' })).token}`
    const begun = await begin(provider, { intent: 'link' }, page)
    await finish(begun, await issuer.sign(claims(begun, { sub })))
    const token = await signIn(provider, { sub })

    const list = async (by: string) =>
      (await (await fixture.request('GET', '/v1/organizations', { token: by })).json<{ id: string }[]>()).map(
        ({ id }) => id,
      )
    const status = async (method: string, path: string, by = token, body?: object) =>
      (await fixture.request(method, path, { token: by, ...(body ? { body } : {}) })).status
    expect(await list(token)).toEqual([org.id])
    expect(await status('GET', `/v1/organizations/${org.id}`)).toBe(200)
    expect(await status('GET', `/v1/organizations/${rival.id}`)).toBe(404)
    expect(await status('POST', '/v1/organizations', token, { name: 'mine' })).toBe(403)
    expect(await status('POST', '/v1/users/me/totp')).toBe(403)
    expect(await status('GET', '/v1/sessions')).toBe(403)
    const own = (await fixture.signIn(userId)).token
    expect((await list(own)).toSorted()).toEqual([org.id, rival.id].toSorted())

    // A command line that this session lets in is bound to the same organization.
    const begunCli = await (await fixture.request('POST', '/v1/sessions/codes')).json<{ id: string; code: string }>()
    const form = (path: string, fields: Record<string, string>) =>
      fixture.request('POST', path, {
        headers: {
          origin: ORIGIN,
          'content-type': 'application/x-www-form-urlencoded',
          cookie: `__Host-capstan=${token}`,
        },
        body: new URLSearchParams(fields).toString(),
      })
    expect(await (await form('/login/device', { code: begunCli.code })).text()).toContain('through which you signed in')
    expect((await form('/login/device/decision', { code: begunCli.code, decision: 'approved' })).status).toBe(200)
    const stored = await withLookup(fixture.deps.db, deviceHashOf(fixture.deps, begunCli.id), (tx) =>
      tx.select().from(deviceCodes),
    )
    expect(stored[0]?.onlyOrgId).toBe(org.id)
    const cli = await fixture.request('POST', '/v1/sessions', { body: { provider: 'code', code: begunCli.id } })
    const { token: cliToken } = await cli.json<{ token: string }>()
    expect(await list(cliToken)).toEqual([org.id])
    expect(await status('GET', `/v1/organizations/${rival.id}`, cliToken)).toBe(404)

    // Nothing of it stands in the log of the other organization.
    const events = await fixture.request('GET', `/v1/organizations/${rival.id}/audit-events`, {
      token: rival.tokens.owner,
    })
    expect((await events.text()).includes('identity-provider')).toBe(false)

    expect(await status('DELETE', `/v1/sessions/${randomUUID()}`)).toBe(403)
    expect((await form('/logout', {})).status).toBe(303)
    expect(await status('GET', `/v1/organizations/${org.id}`)).toBe(401)
  })

  test('a second factor counts where the provider says that there was one', async () => {
    const provider = await providerOf({ joinRole: 'member' })
    const path = `/v1/organizations/${org.id}`
    const patched = await fixture.request('PATCH', path, { token: owner, body: { twoFactorRequired: true } })
    expect(patched.status).toBe(200)
    const [without, pwd] = [await signIn(provider), await signIn(provider, { amr: ['pwd'] })]
    const authTime = Math.floor(Date.now() / 1000)
    const withFactor = await signIn(provider, { amr: ['pwd', 'mfa'], auth_time: authTime })
    const statuses = [without, pwd, withFactor].map(
      async (token) => (await fixture.request('GET', path, { token })).status,
    )
    expect(await Promise.all(statuses)).toEqual([403, 403, 200])
  })

  test('it ends with the provider', async () => {
    const provider = await providerOf()
    const token = await signIn(provider)
    const path = `/v1/organizations/${org.id}`
    expect((await fixture.request('GET', path, { token })).status).toBe(200)
    const gone = await fixture.request('DELETE', `${path}/identity-providers/${provider.id}`, { token: owner })
    expect(gone.status).toBe(204)
    expect((await fixture.request('GET', path, { token })).status).toBe(401)
    const page = await fixture.request('GET', `/login/provider/${provider.id}`)
    expect(page.status).toBe(400)
  })
})
