import { afterAll, beforeAll, beforeEach } from 'vitest'
import { type Federation, federation } from './federated-fixture.js'
import { createFixture, type Fixture, type TestOrganization } from './fixture.js'
import { startTokenIssuer, type TokenIssuer } from './token-issuer.js'

/** Of the test file that called `useFederation`: two issuers, and for each test another organization. */
export let issuer: TokenIssuer
export let second: TokenIssuer
export let fixture: Fixture
export let org: TestOrganization
export let owner: string
export let create: Federation['create']
export let providerOf: Federation['providerOf']
export let begin: Federation['begin']
export let claims: Federation['claims']
export let finish: Federation['finish']
export let signIn: Federation['signIn']
export let refused: Federation['refused']
export let me: Federation['me']

export function useFederation(): void {
  beforeAll(async () => {
    issuer = await startTokenIssuer()
    second = await startTokenIssuer()
    fixture = await createFixture({ overrides: { outboundPrivateHosts: [issuer.host, second.host] } })
    const steps = federation(fixture, [issuer, second], () => ({ org, owner }))
    ;({ create, providerOf, begin, claims, finish, signIn, refused, me } = steps)
  })
  beforeEach(async () => {
    org = await fixture.createOrganization()
    owner = (await fixture.signIn(org.userIds.owner, { secondFactorAt: new Date() })).token
  })
  afterAll(async () => {
    await fixture[Symbol.asyncDispose]()
    await issuer[Symbol.asyncDispose]()
    await second[Symbol.asyncDispose]()
  })
}
