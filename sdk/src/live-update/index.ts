/**
 * The live-update client without any platform: give it a storage and a `fetch`. Node programs use `./node`.
 *
 * @module
 */
export type { BundleStorage, StagedBundle } from './bundle-storage.js'
export type { LiveUpdateEvent, LiveUpdateListener } from './events.js'
export type { Fetch } from './fetch-bytes.js'
export type { Launch } from './launch.js'
export { LiveUpdateError, type LiveUpdateErrorCode } from './live-update-error.js'
export { type LiveUpdate, openLiveUpdate } from './live-update.js'
export type { LiveUpdateOptions, Strategy, TransferLimits } from './options.js'
export type { World } from './session.js'
export type { SyncResult } from './sync-update.js'
