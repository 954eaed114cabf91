import { auditEvents, withOrg } from '@capstan/migrations'
import { asc } from 'drizzle-orm'

import type { TestApp } from './build-fixture.js'
import type { Answer, Fixture } from './fixture.js'
import { keystoreBytes, storePassword } from './keystore-fixtures.js'

export type Version = { version: number; status: string; fingerprintSha256: string; warnings: string[] }
export type StoredEvent = {
  action: string
  outcome: string
  actor: { type: string; id: string }
  target: Record<string, string>
  data: Record<string, unknown>
}

function form(file: string, fields: Record<string, string>): FormData {
  const data = new FormData()
  data.append('file', new Blob([new Uint8Array(keystoreBytes(file))]), file)
  for (const [key, value] of Object.entries({ password: storePassword, ...fields })) data.append(key, value)
  return data
}

/** What an administrator of the app does with one certificate, at the doors of the API. */
export class TestCertificate {
  readonly id: string
  readonly path: string
  readonly #fixture: Fixture
  readonly #app: TestApp

  constructor(fixture: Fixture, app: TestApp, id: string) {
    this.id = id
    this.path = `/v1/apps/${app.id}/certificates/${id}`
    this.#fixture = fixture
    this.#app = app
  }

  request(method: string, path: string, body?: object, token = this.#app.org.tokens.admin): Promise<Answer> {
    return this.#fixture.request(method, `${this.path}${path}`, { token, ...(body && { body }) })
  }
  upload(file: string, fields: Record<string, string> = {}, token?: string): Promise<Answer> {
    return this.request('POST', '/versions', form(file, fields), token)
  }
  activate(version: number, expectedActiveVersion: number | null, token?: string): Promise<Answer> {
    return this.request('POST', `/versions/${version}/activate`, { expectedActiveVersion }, token)
  }
  rollBack(expectedActiveVersion: number | null): Promise<Answer> {
    return this.request('POST', '/rollback', { expectedActiveVersion })
  }
  async add(file: string, fields: Record<string, string> = {}): Promise<Version> {
    return expectStatus(await this.upload(file, fields), 201)
  }
  /** Numbers and states, oldest first. */
  async states(): Promise<string[]> {
    const versions = await expectStatus<Version[]>(await this.request('GET', '/versions'), 200)
    return versions.map(({ version, status }) => `${version} ${status}`).toReversed()
  }
}

let count = 0
export async function createCertificate(fixture: Fixture, app: TestApp, file = 'rsa.p12'): Promise<TestCertificate> {
  count += 1
  const answer = await uploadCertificate(fixture, app, `Key ${count}`, file)
  return new TestCertificate(fixture, app, (await expectStatus<{ id: string }>(answer, 201)).id)
}

export function uploadCertificate(fixture: Fixture, app: TestApp, name: string, file = 'rsa.p12'): Promise<Answer> {
  const body = form(file, { name, platform: 'android' })
  return fixture.request('POST', `/v1/apps/${app.id}/certificates`, { token: app.org.tokens.admin, body })
}

export async function expectStatus<T>(answer: Answer, status: number): Promise<T> {
  if (answer.status !== status) throw new Error(`expected ${status}, got ${answer.status}: ${await answer.text()}`)
  return answer.json<T>()
}

/** Events of an organization that concern one certificate, oldest first. */
export async function eventsOf(fixture: Fixture, orgId: string, credential: string): Promise<StoredEvent[]> {
  const rows = await withOrg(fixture.deps.db, orgId, (tx) =>
    tx.select({ event: auditEvents.event }).from(auditEvents).orderBy(asc(auditEvents.seq)),
  )
  return rows
    .map(({ event }) => JSON.parse(event) as StoredEvent)
    .filter(({ target }) => target.credential === credential)
}
