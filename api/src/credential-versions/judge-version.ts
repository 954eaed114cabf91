import { type CredentialKind, provisioningProfiles, type Transaction } from '@capstan/migrations'
import { eq, getTableColumns } from 'drizzle-orm'

import type { StoredVersion } from './present-version.js'

const { content: _content, ...profileColumns } = getTableColumns(provisioningProfiles)
export type LinkedProfile = Omit<typeof provisioningProfiles.$inferSelect, 'content'>

export type Finding = {
  code:
    | 'certificate-expired'
    | 'certificate-not-yet-valid'
    | 'profile-missing'
    | 'profile-certificate-mismatch'
    | 'profile-team-mismatch'
    | 'profile-type-mismatch'
    | 'profile-expired'
  message: string
}
type Judged = { kind: CredentialKind; version: StoredVersion; profiles: LinkedProfile[] }

export function findLinkedProfiles(tx: Transaction, credentialId: string): Promise<LinkedProfile[]> {
  return tx.select(profileColumns).from(provisioningProfiles).where(eq(provisioningProfiles.credentialId, credentialId))
}

/** Why a build that signs with this version now would fail; nothing when it would not. */
export function judgeVersion({ kind, version, profiles }: Judged, now: Date): Finding[] {
  return [...judgeDates(version, now), ...(kind === 'apple.identity' ? judgeProfiles(version, profiles, now) : [])]
}

const day = (time: Date) => time.toISOString().slice(0, 10)

function judgeDates({ version, expiresAt, facts }: StoredVersion, now: Date): Finding[] {
  if (expiresAt !== null && expiresAt <= now) {
    const message = `The certificate (version ${version}) expired on ${day(expiresAt)}. Upload a new version and make it active.`
    return [{ code: 'certificate-expired', message }]
  }
  const begins = typeof facts.notBefore === 'string' ? new Date(facts.notBefore) : null
  if (begins !== null && begins > now) {
    const message = `The certificate (version ${version}) is valid from ${begins.toISOString()} on. Wait until then, or use another one.`
    return [{ code: 'certificate-not-yet-valid', message }]
  }
  return []
}

/** Each target of the app needs one profile that names this certificate and is valid; all of one team and one type. */
function judgeProfiles(version: StoredVersion, profiles: LinkedProfile[], now: Date): Finding[] {
  if (profiles.length === 0) {
    const message = 'No provisioning profile is linked to the certificate. Upload one for each target of the app.'
    return [{ code: 'profile-missing', message }]
  }
  const chosen: LinkedProfile[] = []
  const findings: Finding[] = []
  for (const target of new Set(profiles.map((profile) => profile.applicationIdentifier))) {
    const matching = profiles.filter(
      ({ applicationIdentifier, certificateFingerprints }) =>
        applicationIdentifier === target && certificateFingerprints.includes(version.fingerprintSha256),
    )
    const newest = matching.toSorted((a, b) => b.expiresAt.getTime() - a.expiresAt.getTime())[0]
    if (newest === undefined)
      findings.push(mismatch('certificate', `No profile for ${target} names the certificate`, version))
    else if (newest.expiresAt <= now) {
      const message = `The profile "${newest.name}" for ${target} expired on ${day(newest.expiresAt)}. Upload a renewed one.`
      findings.push({ code: 'profile-expired', message })
    } else chosen.push(newest)
  }
  return [...findings, ...judgeTogether(version, chosen)]
}

function judgeTogether(version: StoredVersion, chosen: LinkedProfile[]): Finding[] {
  const teams = new Set(chosen.map((profile) => profile.teamId))
  if (typeof version.facts.teamId === 'string') teams.add(version.facts.teamId)
  if (teams.size > 1)
    return [mismatch('team', `Certificate and profiles are of several teams (${list(teams)})`, version)]
  const types = new Set(chosen.map((profile) => profile.type))
  if (types.size > 1) return [mismatch('type', `The profiles are of several types (${list(types)})`, version)]
  return []
}

const list = (values: Set<string>) => [...values].toSorted().join(', ')

function mismatch(of: 'certificate' | 'team' | 'type', what: string, { version }: StoredVersion): Finding {
  const message = `${what} (version ${version}). Upload profiles that belong to it.`
  return { code: `profile-${of}-mismatch`, message }
}
