import { createHash, type X509Certificate } from 'node:crypto'

import type { ProfileFacts } from './credential-facts.js'
import { CredentialRefusal } from './credential-refusal.js'
import { fingerprint, issued } from './describe-certificate.js'
import { shown } from './opened-keystore.js'
import { type PlistValue, readPlist } from './read-plist.js'
import { type SignedContent, verifyCms } from './verify-cms.js'

/** Apple signs profiles under such names; developers' own certificates chain to the same root. */
const SIGNER = /(^|\n)CN=Apple [^\n]*Provisioning Profile Signing(\n|$)/
const MAX_CHAIN = 5

type Dictionary = Record<string, PlistValue | undefined>

/** Checks a provisioning profile's signature, up to a pinned root, before its contents are read. */
export function inspectProfile(bytes: Buffer, roots: readonly string[], now: Date): ProfileFacts {
  if (bytes[0] !== 0x30) {
    throw new CredentialRefusal(
      'profile-unrecognized',
      'The file is not a provisioning profile (.mobileprovision). Download it from the developer portal.',
    )
  }
  const signed = verifyCms(bytes)
  const chain = chainOf(signed, new Set(roots))
  const facts = readFacts(signed.content)
  requireChainAt(chain, new Date(facts.createdAt))
  if (new Date(facts.expiresAt) <= now) {
    throw new CredentialRefusal(
      'profile-expired',
      `The provisioning profile "${shown(facts.name)}" expired on ${facts.expiresAt.slice(0, 10)}. Renew it in the developer portal and download it again.`,
    )
  }
  return facts
}

/** The signer's certificates up to a root whose fingerprint is pinned. */
function chainOf({ signer, certificates }: SignedContent, roots: ReadonlySet<string>): X509Certificate[] {
  const chain = [signer]
  if (!SIGNER.test(signer.subject)) throw untrusted()
  for (let last = signer; chain.length <= MAX_CHAIN;) {
    if (roots.has(fingerprint(last.fingerprint256))) return chain
    const issuer = certificates.find((candidate) => candidate.ca && candidate !== last && issued(candidate, last))
    if (issuer === undefined || chain.includes(issuer)) break
    chain.push(issuer)
    last = issuer
  }
  throw untrusted()
}

/** A profile outlives the certificate that signed it, so what counts is the day on which it was made. */
function requireChainAt(chain: X509Certificate[], day: Date): void {
  const valid = chain.every(({ validFrom, validTo }) => new Date(validFrom) <= day && day < new Date(validTo))
  if (!valid) throw untrusted()
}

function untrusted(): CredentialRefusal {
  return new CredentialRefusal(
    'profile-untrusted',
    'The provisioning profile is not signed by Apple. Download it again from the developer portal.',
  )
}

function readFacts(content: Buffer): ProfileFacts {
  try {
    return describe(dictionary(readPlist(content.toString('utf8'))))
  } catch (error) {
    if (error instanceof CredentialRefusal) throw error
    throw damaged()
  }
}

function describe(profile: Dictionary): ProfileFacts {
  const entitlements = dictionary(profile.Entitlements)
  const certificates = list(profile.DeveloperCertificates).map((der) => {
    if (!Buffer.isBuffer(der)) throw damaged()
    return createHash('sha256').update(der).digest('hex')
  })
  const teamId = text(list(profile.TeamIdentifier)[0])
  if (certificates.length === 0 || !/^[A-Z0-9]{10}$/.test(teamId)) throw damaged()
  return {
    uuid: text(profile.UUID),
    name: text(profile.Name),
    teamId,
    teamName: typeof profile.TeamName === 'string' ? profile.TeamName.slice(0, 200) : null,
    applicationIdentifier: text(
      entitlements['application-identifier'] ?? entitlements['com.apple.application-identifier'],
    ),
    type: typeOf(profile, entitlements),
    platforms: profile.Platform === undefined ? [] : list(profile.Platform).map(text),
    createdAt: date(profile.CreationDate),
    expiresAt: date(profile.ExpirationDate),
    deviceCount: profile.ProvisionedDevices === undefined ? 0 : list(profile.ProvisionedDevices).length,
    certificateFingerprints: certificates,
    isXcodeManaged: profile.IsXcodeManaged === true,
    entitlements: Object.keys(entitlements).slice(0, 200),
  }
}

function typeOf(profile: Dictionary, entitlements: Dictionary): ProfileFacts['type'] {
  if (profile.ProvisionsAllDevices === true) return 'enterprise'
  if (profile.ProvisionedDevices === undefined) return 'app-store'
  return entitlements['get-task-allow'] === true ? 'development' : 'ad-hoc'
}

function dictionary(value: PlistValue | undefined): Dictionary {
  if (typeof value !== 'object' || Array.isArray(value) || Buffer.isBuffer(value) || value instanceof Date)
    throw damaged()
  return value
}

function list(value: PlistValue | undefined): PlistValue[] {
  if (!Array.isArray(value)) throw damaged()
  return value
}

function text(value: PlistValue | undefined): string {
  if (typeof value !== 'string' || value === '' || value.length > 500) throw damaged()
  return value
}

function date(value: PlistValue | undefined): string {
  if (!(value instanceof Date)) throw damaged()
  return value.toISOString()
}

function damaged(): CredentialRefusal {
  return new CredentialRefusal(
    'profile-damaged',
    'The provisioning profile lacks something that every profile has. Download it again from the developer portal.',
  )
}
