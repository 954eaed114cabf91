import { setMaxListeners } from 'node:events'
import type { Listen } from '@capstan/migrations'
import { QueueUnavailable } from './build-queue.js'
import type { ControlDeps } from './control-deps.js'
import { closeReviews } from './close-reviews.js'
import { advanceRollouts } from './advance-rollouts.js'
import { makePatches } from '../patches/make-patches.js'
import { eraseOrganizations } from './erase-organizations.js'
import { forgetExpired } from './forget-expired.js'
import { giveExpiryNotices } from './give-expiry-notices.js'
import { publishCheckpoints } from './publish-checkpoints.js'
import { recordActivity } from './record-activity.js'
import { endOverdue } from './end-overdue.js'
import type { DispatchLimits } from './choose-due-builds.js'
import { dispatchLimits, relayOutbox } from './relay-outbox.js'
import { repeat } from './repeat.js'
import { sendCheckpoints } from './send-checkpoints.js'
import { createDeliverySender } from './send-deliveries.js'
import { sendMails } from './send-mails.js'
import type { Mailer } from '../mails/open-mailer.js'
import { retireVersions } from './retire-versions.js'
import { ringAgain } from './ring-again.js'
import { storeLogs } from './store-logs.js'
import { sweepCaches } from './sweep-caches.js'
import { sweepLeases } from './sweep-leases.js'
import { sweepLeftovers } from './sweep-leftovers.js'
import { watchChanges } from './watch-changes.js'
import { sweepTelemetry } from './sweep-telemetry.js'
import { watchIncidents } from './watch-incidents.js'
import { publishStaticApps } from '../static-delivery/publish-static-apps.js'
import { watchNotifications } from '../watch-notifications.js'

const RING_AGAIN_AFTER_MS = 15_000
const NOTICES_MS = 10 * 60_000
const LEFTOVERS_MS = 10 * 60_000
const STORE_LOGS_MS = 60_000
const ACTIVITY_MS = 15 * 60_000
const RETENTION_MS = 60 * 60_000

export type ControlOptions = {
  relayMs: number
  sweepMs: number
  ringAgainAfterMs?: number
  noticesMs?: number
  limits?: Partial<DispatchLimits>
  webhookKey?: Uint8Array | null
  mailer?: Mailer | null
}

/**
 * Runs the loops below until disposed. `ready` settles once each has looked at the database; patches may take longer.
 */
export function startControl(
  deps: ControlDeps & { listen: Listen },
  options: ControlOptions,
): AsyncDisposable & { ready: Promise<void> } {
  const stopping = new AbortController()
  const { signal } = stopping
  // Each loop listens, and Node warns of more than ten as of a leak.
  setMaxListeners(0, signal)
  const {
    relayMs,
    sweepMs,
    ringAgainAfterMs = RING_AGAIN_AFTER_MS,
    noticesMs = NOTICES_MS,
    webhookKey = null,
    mailer = null,
  } = options
  const start = (name: string, everyMs: number, work: () => Promise<unknown>) => {
    let done: () => void = () => undefined
    const first = new Promise<void>((resolve) => (done = resolve))
    const onFailure = (error: unknown) => {
      if (!(error instanceof QueueUnavailable)) return deps.log.error({ err: error, loop: name }, 'a pass failed')
      // The database was reached; what waits for Redis stays where it is.
      deps.log.warn({ reason: error.message, loop: name }, 'redis does not answer; builds wait')
      done()
    }
    const { ended, wake } = repeat(work, { everyMs, signal, onFailure, onFirstPass: done })
    return { first, ended, wake }
  }
  const outbox = watchNotifications(deps.listen, 'outbox', () => relay.wake())
  const relay = start('relay', relayMs, async () => {
    // First the ear, then the look: what is committed in between is heard.
    await outbox.listen().catch((error: unknown) => deps.log.debug({ err: error }, 'notifications are not heard'))
    return relayOutbox(deps, { ...dispatchLimits, ...options.limits })
  })
  const loops = [
    relay,
    start('sweep', sweepMs, () => sweepLeases(deps)),
    start('overdue', sweepMs, () => endOverdue(deps)),
    start('leftovers', LEFTOVERS_MS, () => sweepLeftovers(deps)),
    start('store-logs', STORE_LOGS_MS, () => storeLogs(deps)),
    start('sweep-caches', LEFTOVERS_MS, () => sweepCaches(deps)),
    start('retire-versions', sweepMs, () => retireVersions(deps)),
    start('expiry-notices', noticesMs, () => giveExpiryNotices(deps)),
    start('record-activity', ACTIVITY_MS, () => recordActivity(deps)),
    start('sweep-telemetry', RETENTION_MS, () => sweepTelemetry(deps)),
    start('advance-rollouts', sweepMs, () => advanceRollouts(deps)),
    start('watch-changes', sweepMs, () => watchChanges(deps)),
    start('publish-checkpoints', sweepMs, () => publishCheckpoints(deps)),
    start('forget-expired', noticesMs, () => forgetExpired(deps)),
    start('watch-incidents', noticesMs, () => watchIncidents(deps)),
    start('close-reviews', sweepMs, () => closeReviews(deps)),
    start('erase-organizations', sweepMs, () => eraseOrganizations(deps)),
    start('ring-again', sweepMs, () => ringAgain(deps, ringAgainAfterMs)),
  ]
  // These take as long as somebody else takes; nobody waits for them.
  const webhooks = start('send-checkpoints', sweepMs, () => sendCheckpoints(deps, webhookKey))
  const sender = createDeliverySender(deps, webhookKey, () => deliveries.wake())
  const deliveries = start('send-deliveries', relayMs, () => sender.pass())
  const letters = start('send-mails', relayMs, () => sendMails(deps, mailer, deps.mailKey))
  // Making one takes a while, as copying bundles does; nobody waits for it.
  const patches = start('patches', sweepMs, () => makePatches(deps, signal))
  const { staticParts } = deps
  const statics = start('static-apps', relayMs, async () => {
    if (staticParts) await publishStaticApps({ ...deps, staticParts })
  })
  return {
    ready: Promise.all(loops.map(({ first }) => first)).then(() => undefined),
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await Promise.all([...loops, webhooks, deliveries, letters, patches, statics].map(({ ended }) => ended))
      await sender.drain()
      await outbox.stop()
    },
  }
}
