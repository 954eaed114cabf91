export * from './build-message.js'
export * from './worker-protocol.js'
