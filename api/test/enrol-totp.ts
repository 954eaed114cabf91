import { expect } from 'vitest'
import { totpAt } from '../src/auth/totp.js'
import type { Fixture } from './fixture.js'

/** Sets up an authenticator app for this person, as the routes do it. */
export async function enrolTotp(fixture: Fixture, userId: string): Promise<{ recoveryCodes: string[] }> {
  const { token } = await fixture.signIn(userId)
  const started = await fixture.request('POST', '/v1/users/me/totp', { token })
  const { secret } = await started.json<{ secret: string }>()
  const bits = Array.from(secret, (c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0'))
  const key = Buffer.from((bits.join('').match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
  const body = { otp: totpAt(key, Math.floor(fixture.deps.now().getTime() / 30_000)) }
  const confirmed = await fixture.request('POST', '/v1/users/me/totp/confirmation', { token, body })
  expect(confirmed.status).toBe(201)
  return confirmed.json<{ recoveryCodes: string[] }>()
}
