import { z } from 'zod'

/** BullMQ queue on which the control process rings for the workers. */
export const BUILD_QUEUE = 'builds'

/** The queue of each pool: builds for iOS wait where workers with macOS look. */
export const buildQueues = { standard: BUILD_QUEUE, macos: 'builds-macos' } as const

/** Everything a queue entry may hold: ids, never a secret. The job id is `build-<buildId>-<attempt>`. */
export const BuildMessage = z.strictObject({
  v: z.literal(1),
  orgId: z.uuid(),
  buildId: z.uuid(),
})
export type BuildMessage = z.infer<typeof BuildMessage>
