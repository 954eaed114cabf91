/**
 * The live-update client for Node and Electron.
 *
 * @module
 */
export { LiveUpdateError, type LiveUpdateErrorCode } from '../live-update-error.js'
export type { Launch } from '../launch.js'
export type { LiveUpdate } from '../live-update.js'
export type { LiveUpdateEvent, LiveUpdateListener } from '../events.js'
export type { SyncResult } from '../sync-update.js'
export { createLiveUpdate, type NodeLiveUpdateOptions } from './create-live-update.js'
export type { Disk } from '../disk.js'
export { nodeDisk } from './disk.js'
export { fileStorage } from './file-storage.js'
