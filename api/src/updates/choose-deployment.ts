import type { builds, bundles, deployments } from '@capstan/migrations'
import { isInRollout } from '@capstan/sdk/release'
import { fitsNativeVersion } from './fits-native-version.js'

export type Candidate = {
  deployment: typeof deployments.$inferSelect
  bundle: typeof bundles.$inferSelect
  build: typeof builds.$inferSelect
}

export type DeviceFacts = { deviceId: string; platform: number; appVersionCode: string | null }

/**
 * The deployment that a device gets, from those of a channel with the current one first: the newest whose rollout has
 * the device. One that does not fit its native version ends the search, since going further back would change what
 * the channel means for that version each time an older deployment is removed.
 */
export async function chooseDeployment<C extends Pick<Candidate, 'deployment' | 'build'>>(
  candidates: readonly C[],
  device: DeviceFacts,
): Promise<C | 'outside-rollout' | 'native-version'> {
  for (const candidate of candidates) {
    const { id, rolloutPercentage } = candidate.deployment
    if (!(await isInRollout(device.deviceId, { deploymentId: id, percentage: rolloutPercentage }))) continue
    const fits = fitsNativeVersion(candidate.build.constraints, device.platform, device.appVersionCode)
    return fits ? candidate : 'native-version'
  }
  return 'outside-rollout'
}
