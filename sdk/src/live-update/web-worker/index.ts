/**
 * The service worker's part of live updates for web apps.
 *
 * @module
 */
export { type ServeOptions, serveLiveUpdates } from '../web/serve-live-updates.js'
