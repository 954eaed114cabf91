import { checkOutboundUrl } from '../outbound/check-outbound-url.js'
import { Problem } from '../problems.js'

/** An issuer is compared as it is written: no query, no fragment, and nothing that could be spelled in two ways. */
export function checkIssuer(text: string, privateHosts: readonly string[]): string {
  const url = checkOutboundUrl(text, privateHosts)
  if (url.search !== '' || (url.href !== text && url.href !== `${text}/`)) {
    throw new Problem('outbound-address-refused', `Write the issuer as it calls itself, for example ${url.origin}.`)
  }
  return text
}
