import { currentVerifier } from '../verifier/verifier.js'

/**
 * Where a device stands in a deployment's rollout: a stable number from 0 (inclusive) to 1 (exclusive), the first
 * 48 bits of SHA-256 of `<deploymentId>:<deviceId>` as a fraction. Server and device compute the same.
 */
export async function rolloutPosition(deviceId: string, deploymentId: string): Promise<number> {
  const message = new TextEncoder().encode(`${deploymentId}:${deviceId}`)
  const bytes = await currentVerifier().sha256(message)
  const digest = new DataView(bytes.buffer, bytes.byteOffset)
  return (digest.getUint32(0) * 0x10000 + digest.getUint16(4)) / 2 ** 48
}

/** Whether a device takes part in a rollout of `percentage`, which is 0 to 1. */
export async function isInRollout(
  deviceId: string,
  rollout: { deploymentId: string; percentage: number },
): Promise<boolean> {
  return (await rolloutPosition(deviceId, rollout.deploymentId)) < rollout.percentage
}
