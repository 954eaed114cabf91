/**
 * What an IP address leads to, decided by its bytes. Runs on Node; for whoever calls hosts that somebody else named.
 *
 * @module
 */
export { addressKind, type AddressKind, canonicalAddress } from './address-kind.js'
