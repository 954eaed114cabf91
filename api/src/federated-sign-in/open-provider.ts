import { identityProviders, withLookup } from '@capstan/migrations'
import { eq } from 'drizzle-orm'
import {
  allowInsecureRequests,
  ClientSecretBasic,
  ClientSecretPost,
  Configuration,
  customFetch,
  None,
  type CustomFetchOptions,
  type ServerMetadata,
} from 'openid-client'
import { validate as isUuid } from 'uuid'
import { openOwn } from '../auth/identity-keys.js'
import type { Deps } from '../context.js'
import { SECRET_PURPOSE } from '../identity-providers/create-identity-provider.js'
import type { Outbound } from '../outbound/create-outbound.js'
import { Problem } from '../problems.js'

export type Provider = typeof identityProviders.$inferSelect

export async function findProvider(deps: Deps, id: string): Promise<Provider> {
  const [provider] = isUuid(id)
    ? await withLookup(deps.db, id.toLowerCase(), (tx) =>
        tx.select().from(identityProviders).where(eq(identityProviders.id, id)),
      )
    : []
  if (!provider)
    throw new Problem('not-found', 'There is no such way to sign in. Ask your organization for its address.')
  return provider
}

export const redirectUriOf = (deps: Deps): string => `${deps.publicUrl}/login/callback`

/** The library's view of a provider: what the issuer says of itself, and how this server is known there. */
export async function openProvider(deps: Deps, provider: Provider): Promise<Configuration> {
  const { metadata } = await deps.issuers.find(provider.issuer)
  const config = new Configuration(
    metadata as ServerMetadata,
    provider.clientId,
    {},
    authenticationOf(deps, provider, metadata),
  )
  config[customFetch] = (url, options) => call(deps.outbound, url, options)
  // Whether http may be spoken to a host is decided where it is called: `outbound` does so for named hosts only.
  allowInsecureRequests(config)
  return config
}

function authenticationOf(
  { pepper }: Deps,
  { id, sealedSecret }: Provider,
  metadata: { token_endpoint_auth_methods_supported?: string[] | undefined },
) {
  if (sealedSecret === null) return None()
  const secret = openOwn(pepper, SECRET_PURPOSE, id, sealedSecret).toString('utf8')
  // Discovery, section 3: without a list it is basic.
  const isBasic = metadata.token_endpoint_auth_methods_supported?.includes('client_secret_basic') ?? true
  return isBasic ? ClientSecretBasic(secret) : ClientSecretPost(secret)
}

function call(outbound: Outbound, url: string, { method, headers, body }: CustomFetchOptions): Promise<Response> {
  const text = body instanceof URLSearchParams ? body.toString() : typeof body === 'string' ? body : undefined
  return outbound(url, {
    method: method === 'POST' ? 'POST' : 'GET',
    headers: Object.fromEntries(new Headers(headers)),
    ...(text === undefined ? {} : { body: text }),
  })
}
