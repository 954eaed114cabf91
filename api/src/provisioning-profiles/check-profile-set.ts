import type { StoredCredential } from '../credentials/present-credential.js'
import { Problem } from '../problems.js'
import type { StoredProfile } from './present-profile.js'

/** Refuses a profile that cannot sign with a certificate: it must name it, in whichever place, and be of its team. */
export function checkProfileFits({ credential, version }: StoredCredential, profile: StoredProfile): void {
  if (credential.kind !== 'apple.identity') {
    throw new Problem(
      'profile-certificate-mismatch',
      `"${credential.name}" is not an Apple signing identity, so a provisioning profile cannot belong to it.`,
    )
  }
  if (!profile.certificateFingerprints.includes(version.fingerprintSha256)) {
    throw new Problem(
      'profile-certificate-mismatch',
      `The profile "${profile.name}" does not name the certificate "${credential.name}". Edit the profile in the developer portal, select the certificate, and download it again.`,
    )
  }
  const { teamId } = version.facts
  if (profile.teamId !== teamId) {
    throw new Problem(
      'profile-team-mismatch',
      `The profile "${profile.name}" is of team ${profile.teamId}, the certificate of team ${String(teamId)}. Choose both of one team.`,
    )
  }
}

/** All targets of an app are signed with profiles of one type. */
export function checkOneType(certificateName: string, profiles: readonly StoredProfile[]): void {
  const types = [...new Set(profiles.map(({ type }) => type))].toSorted()
  if (types.length < 2) return
  throw new Problem(
    'profile-type-mismatch',
    `The profiles of "${certificateName}" would be of several types: ${types.join(', ')}. All targets of an app are signed with profiles of one type.`,
  )
}
