/**
 * The live-update client for Capacitor apps, over the app's own `@capacitor/filesystem`, `@capacitor/preferences` and
 * `WebView`.
 *
 * @module
 */
export type { LiveUpdateEvent, LiveUpdateListener } from '../events.js'
export type { Launch } from '../launch.js'
export { LiveUpdateError, type LiveUpdateErrorCode } from '../live-update-error.js'
export type { LiveUpdate } from '../live-update.js'
export type { SyncResult } from '../sync-update.js'
export { type CapacitorLiveUpdateOptions, createLiveUpdate } from './create-live-update.js'
export type { FilesystemPlugin, PreferencesPlugin, WebViewPlugin } from './plugins.js'
