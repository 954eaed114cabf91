/**
 * The live-update client for web apps; `../web-worker` is its service worker.
 *
 * @module
 */
export type { LiveUpdateEvent, LiveUpdateListener } from '../events.js'
export type { Launch } from '../launch.js'
export { LiveUpdateError, type LiveUpdateErrorCode } from '../live-update-error.js'
export type { LiveUpdate } from '../live-update.js'
export type { SyncResult } from '../sync-update.js'
export { createLiveUpdate, type WebLiveUpdateOptions } from './create-live-update.js'
