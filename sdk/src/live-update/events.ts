import type { ContentSource } from './content/content-source.js'
import type { LiveUpdateErrorCode } from './live-update-error.js'

/** What happens inside the client, for logs and progress bars. */
export type LiveUpdateEvent =
  | { type: 'progress'; bundleId: string; receivedBytes: number; totalBytes: number | null }
  | { type: 'acquired'; bundleId: string; source: ContentSource['kind'] }
  | { type: 'fell-back'; bundleId: string; source: ContentSource['kind']; code: LiveUpdateErrorCode; message: string }
  | { type: 'staged'; bundleId: string }
  | { type: 'refused'; code: LiveUpdateErrorCode; message: string }
  | { type: 'launched'; bundleId: string | null; trial: boolean }
  | { type: 'confirmed'; bundleId: string | null }
  | { type: 'rolled-back'; from: string; to: string | null }
  | { type: 'damaged'; bundleId: string }
  | { type: 'reset' }

/** Called with each event, in order. What it throws is dropped: it does not decide about an update. */
export type LiveUpdateListener = (event: LiveUpdateEvent) => void
