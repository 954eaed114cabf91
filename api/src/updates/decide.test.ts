import { isInRollout as isInRolloutOnDevice } from '@capstan/sdk/release'
import { expect, test } from 'vitest'
import { isInRollout } from './decide.js'

test('the server counts a device to a rollout exactly when the device does, for 10,000 devices', async () => {
  const shares = [0, 0.01, 0.25, 0.5, 0.999, 1]
  let inside = 0
  for (let index = 0; index < 10_000; index += 1) {
    const deviceId = index % 100 === 0 ? '' : `device-ü-${index}`
    const rollout = { deploymentId: `deployment-${index % 7}`, percentage: shares[index % shares.length] }
    const here = isInRollout(deviceId, rollout)
    expect(here).toBe(await isInRolloutOnDevice(deviceId, rollout))
    if (here) inside += 1
  }
  expect(inside).toBeGreaterThan(3_500)
  expect(inside).toBeLessThan(6_500)
})
