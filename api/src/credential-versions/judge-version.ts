import { type CredentialKind, provisioningProfiles, type Transaction } from '@capstan/migrations'
import { eq, getTableColumns } from 'drizzle-orm'

import { bundleIdOf, signsBundle } from '../provisioning-profiles/check-profile-app.js'
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
    | 'profile-app-mismatch'
    | 'certificate-type-mismatch'
  message: string
}
/** What is to be built, as far as it is known. */
export type BuildTarget = {
  /** `simulator`, `development`, `ad-hoc`, `app-store` or `enterprise`. */
  type?: string | null | undefined
  bundleId?: string | null | undefined
}
type Judged = { kind: CredentialKind; version: StoredVersion; profiles: LinkedProfile[]; target?: BuildTarget }

export function findLinkedProfiles(tx: Transaction, credentialId: string): Promise<LinkedProfile[]> {
  return tx.select(profileColumns).from(provisioningProfiles).where(eq(provisioningProfiles.credentialId, credentialId))
}

/** Why a build that signs with this version now would fail; nothing when it would not. */
export function judgeVersion({ kind, version, profiles, target = {} }: Judged, now: Date): Finding[] {
  const dates = judgeDates(version, now)
  // What runs in the simulator is not signed.
  if (kind !== 'apple.identity' || target.type === 'simulator') return dates
  return [...dates, ...judgeType(version, target), ...judgeProfiles(version, profiles, target, now)]
}

/** Apple takes a development certificate for development alone, and no other for that. */
function judgeType({ version, facts }: StoredVersion, { type }: BuildTarget): Finding[] {
  const of = facts.type
  if (!type || typeof of !== 'string' || (of === 'development') === (type === 'development')) return []
  const message = `The certificate (version ${version}) is for ${of}; a build of type "${type}" is signed with one for ${type === 'development' ? 'development' : 'distribution'}.`
  return [{ code: 'certificate-type-mismatch', message }]
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
function judgeProfiles(version: StoredVersion, profiles: LinkedProfile[], target: BuildTarget, now: Date): Finding[] {
  if (profiles.length === 0) {
    const message = 'No provisioning profile is linked to the certificate. Upload one for each target of the app.'
    return [{ code: 'profile-missing', message }]
  }
  const chosen: LinkedProfile[] = []
  const findings: Finding[] = []
  for (const identifier of new Set(profiles.map((profile) => profile.applicationIdentifier))) {
    const matching = profiles.filter(
      ({ applicationIdentifier, certificateFingerprints }) =>
        applicationIdentifier === identifier && certificateFingerprints.includes(version.fingerprintSha256),
    )
    const newest = matching.toSorted((a, b) => b.expiresAt.getTime() - a.expiresAt.getTime())[0]
    if (newest === undefined)
      findings.push(mismatch('certificate', `No profile for ${identifier} names the certificate`, version))
    else if (newest.expiresAt <= now) {
      const message = `The profile "${newest.name}" for ${identifier} expired on ${day(newest.expiresAt)}. Upload a renewed one.`
      findings.push({ code: 'profile-expired', message })
    } else chosen.push(newest)
  }
  return [...findings, ...judgeTogether(version, chosen), ...judgeTarget(chosen, target)]
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

/** The profiles against what is to be built: one is the app's own, and all are of the type of the build. */
function judgeTarget(chosen: LinkedProfile[], { type, bundleId }: BuildTarget): Finding[] {
  const findings: Finding[] = []
  const other = type ? chosen.find((profile) => profile.type !== type) : undefined
  if (other !== undefined) {
    const message = `The profile "${other.name}" is of type ${other.type}; the build is of type ${type}. Upload a profile of that type, or build another type.`
    findings.push({ code: 'profile-type-mismatch', message })
  }
  if (bundleId && chosen.length > 0 && !chosen.some((profile) => signsBundle(profile, bundleId))) {
    const message = `No profile is for the app's bundle identifier ${bundleId}; there are those for ${list(new Set(chosen.map(bundleIdOf)))}. Upload one for it.`
    findings.push({ code: 'profile-app-mismatch', message })
  }
  return findings
}

const list = (values: Set<string>) => [...values].toSorted().join(', ')

function mismatch(of: 'certificate' | 'team' | 'type', what: string, { version }: StoredVersion): Finding {
  const message = `${what} (version ${version}). Upload profiles that belong to it.`
  return { code: `profile-${of}-mismatch`, message }
}
