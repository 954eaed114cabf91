import { createRemoteJWKSet, customFetch, type FetchImplementation, type JWTVerifyGetKey } from 'jose'
import { z } from 'zod'
import { limitRate } from '../limit-rate.js'
import type { Outbound } from '../outbound/create-outbound.js'
import { OutboundError } from '../outbound/outbound-error.js'
import { Problem } from '../problems.js'

const Metadata = z.object({
  issuer: z.string(),
  jwks_uri: z.url(),
  // A page of ours leads there.
  authorization_endpoint: z.url({ protocol: /^https?$/ }).optional(),
  token_endpoint: z.url().optional(),
  id_token_signing_alg_values_supported: z.array(z.string()).optional(),
  token_endpoint_auth_methods_supported: z.array(z.string()).optional(),
  authorization_response_iss_parameter_supported: z.boolean().optional(),
})
type IssuerMetadata = z.infer<typeof Metadata>

/** What an issuer says of itself (OpenID Connect Discovery 1.0), and the keys that it signs with. */
type Issuer = { metadata: IssuerMetadata; keys: JWTVerifyGetKey }
export type Issuers = { find(issuer: string): Promise<Issuer> }

const METADATA_MS = 10 * 60_000
const FAILURE_MS = 15_000
const KEYS_MS = 10 * 60_000
/** A token that names an unknown key makes its issuer be asked for new ones, at most so often. */
const NEW_KEYS_MS = 30_000
const MAX_ISSUERS = 500

/**
 * Issuers, remembered for ten minutes each and a few hundred at most, so that nobody can have one asked again and again:
 * not with unknown keys, and not while it fails.
 */
export function createIssuers(outbound: Outbound, now: () => number = Date.now): Issuers {
  const known = new Map<string, { issuer: Promise<Issuer>; until: number }>()
  const admit = limitRate({ burst: 4, perSecond: 1 / 30 })
  // By issuer: one that names the keys of another as its own does not use up the other's turn.
  const fetchKeysOf =
    (name: string): FetchImplementation =>
    async (url, { headers }) => {
      if (!admit(name, new Date(now()))) throw unavailable(name, 'its keys were asked for too often')
      return outbound(url, { headers: Object.fromEntries(new Headers(headers)) })
    }
  return {
    find(name) {
      const found = known.get(name)
      if (found && found.until > now()) return found.issuer
      const issuer = discover(outbound, name).then((metadata) => ({
        metadata,
        keys: createRemoteJWKSet(new URL(metadata.jwks_uri), {
          cacheMaxAge: KEYS_MS,
          cooldownDuration: NEW_KEYS_MS,
          [customFetch]: fetchKeysOf(name),
        }),
      }))
      const entry = { issuer, until: now() + METADATA_MS }
      issuer.catch(() => (entry.until = now() + FAILURE_MS))
      known.delete(name)
      known.set(name, entry)
      const [oldest] = known.keys()
      if (known.size > MAX_ISSUERS && oldest !== undefined) known.delete(oldest)
      return issuer
    },
  }
}

async function discover(outbound: Outbound, issuer: string): Promise<IssuerMetadata> {
  try {
    const answer = await outbound(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    if (answer.status !== 200) throw unavailable(issuer, `its description is answered with status ${answer.status}`)
    const metadata = Metadata.safeParse(await answer.json())
    if (!metadata.success) throw unavailable(issuer, 'its description is incomplete')
    // Else one issuer could speak for another.
    if (metadata.data.issuer !== issuer) throw unavailable(issuer, 'it describes itself under another name')
    return metadata.data
  } catch (error) {
    if (error instanceof Problem) throw error
    throw unavailable(issuer, error instanceof OutboundError ? error.message : 'its description cannot be read')
  }
}

function unavailable(issuer: string, why: string): Problem {
  return new Problem('issuer-unavailable', `${issuer} cannot be used now: ${why}`.replace(/\.?$/, '.'))
}
