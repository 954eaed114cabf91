import { createHmac, timingSafeEqual } from 'node:crypto'

import type { builds, leases } from '@capstan/migrations'

type LeaseRow = Pick<typeof leases.$inferSelect, 'orgId' | 'jobId' | 'buildId' | 'attempt' | 'tokenHash'>
type BuildRow = Pick<typeof builds.$inferSelect, 'appId' | 'credentialId' | 'credentialVersion'>

/** What a lease was given out for, under the pepper, which is not in the database: whoever alters the rows cannot make it. */
export function bindLease(pepper: Uint8Array, lease: LeaseRow, build: BuildRow): string {
  const facts = [
    lease.orgId,
    lease.jobId,
    lease.buildId,
    lease.attempt,
    lease.tokenHash,
    build.appId,
    build.credentialId,
    build.credentialVersion,
  ]
  return createHmac('sha256', pepper)
    .update(`lease-binding-v1\0${JSON.stringify(facts)}`)
    .digest('hex')
}

export function isBound(pepper: Uint8Array, lease: LeaseRow & { binding: string }, build: BuildRow): boolean {
  const [stored, expected] = [lease.binding, bindLease(pepper, lease, build)].map((text) => Buffer.from(text, 'latin1'))
  return (
    stored !== undefined &&
    expected !== undefined &&
    stored.length === expected.length &&
    timingSafeEqual(stored, expected)
  )
}
