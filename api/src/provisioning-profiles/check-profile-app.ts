import { apps, type Transaction } from '@capstan/migrations'
import { eq } from 'drizzle-orm'

import { Problem } from '../problems.js'

type Profile = { name: string; applicationIdentifier: string }

/** `ABCDE12345.com.example.app` without the prefix: the bundle identifier that the profile is for, or a pattern. */
export function bundleIdOf({ applicationIdentifier }: Pick<Profile, 'applicationIdentifier'>): string {
  return applicationIdentifier.slice(applicationIdentifier.indexOf('.') + 1)
}

/** Whether an app with this bundle identifier can be signed with the profile; `*` stands at the end and for anything. */
export function signsBundle(profile: Pick<Profile, 'applicationIdentifier'>, bundleId: string): boolean {
  const pattern = bundleIdOf(profile)
  return pattern.endsWith('*') ? bundleId.startsWith(pattern.slice(0, -1)) : bundleId === pattern
}

export async function iosBundleIdOf(tx: Transaction, appId: string): Promise<string | null> {
  const [app] = await tx.select({ bundleId: apps.iosBundleId }).from(apps).where(eq(apps.id, appId))
  return app?.bundleId ?? null
}

/** Refuses a profile for another app than this one and its extensions, whose identifiers begin with the app's own. */
export async function checkProfileApp(tx: Transaction, appId: string, profile: Profile): Promise<void> {
  const bundleId = await iosBundleIdOf(tx, appId)
  if (bundleId === null || signsBundle(profile, bundleId) || bundleIdOf(profile).startsWith(`${bundleId}.`)) return
  throw new Problem(
    'profile-app-mismatch',
    `The profile "${profile.name}" is for ${profile.applicationIdentifier}; the bundle identifier of the app is ${bundleId}. Upload the profile to its own app, or correct "iosBundleId" of this one.`,
  )
}
