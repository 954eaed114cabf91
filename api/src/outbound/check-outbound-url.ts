import { Problem } from '../problems.js'
import { faultOfHost, isNamedHost } from './check-host.js'

const MAX_URL = 2_000

/**
 * What is wrong with an address that this server is to call for somebody; null: nothing that its spelling shows. Where it
 * leads is judged when it is called.
 */
export function faultOfOutboundUrl(text: string, privateHosts: readonly string[]): string | null {
  if (text.length > MAX_URL) return `it is longer than ${MAX_URL} characters`
  if (/[^\x21-\x7e]|\\/.test(text)) return 'it holds spaces, backslashes or characters outside of ASCII'
  const url = /^https?:\/\/[^/]/i.test(text) && URL.canParse(text) ? new URL(text) : null
  if (url === null) return 'it must begin with https://'
  if (url.protocol !== 'https:' && !isNamedHost(url, privateHosts)) return 'it must begin with https://'
  if (url.username !== '' || url.password !== '') return 'it holds a user name or password'
  if (url.hash !== '') return 'it holds a fragment'
  return faultOfHost(url, privateHosts)
}

/** An address that this server may be asked to call, or a refusal that says why not. */
export function checkOutboundUrl(text: string, privateHosts: readonly string[]): URL {
  const fault = faultOfOutboundUrl(text, privateHosts)
  if (fault !== null) throw new Problem('outbound-address-refused', `This address is not called: ${fault}.`)
  return new URL(text)
}
