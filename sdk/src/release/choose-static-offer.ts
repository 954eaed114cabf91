import { compareVersions } from './compare-versions.js'
import { isInRollout } from './is-in-rollout.js'
import { chooseOffer, isInRange, type StaticChannel, type StaticOffer, type VersionCodes } from './static-channel.js'

/** Whether a version code is in range. One that cannot be compared is in no range but the unbounded one. */
export function fitsVersionCodes(code: string, codes: VersionCodes): boolean {
  return isInRange(code, codes, compareVersions)
}

/**
 * What the server would offer this device: the first deployment whose rollout has it. One that is not for its native
 * version ends the search.
 *
 * @returns `null`: stay as you are
 */
export function chooseStaticOffer(
  channel: Pick<StaticChannel, 'expiresAt' | 'offers'>,
  device: { deviceId: string; versionCode: string; now: number },
): Promise<StaticOffer | null> {
  return chooseOffer(channel, device, { isInRollout, compareVersions })
}
