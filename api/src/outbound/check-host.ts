const HOST = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/
const PRIVATE_NAMES = /(^|\.)(localhost|local|internal|intranet|lan|home|corp|localdomain|arpa)$/
const PORTS: Record<string, readonly string[]> = { 'https:': ['', '443'], 'ssh:': ['', '22'] }

/** Whether the operator named this host, as `host` or as `host:port`. */
export function isNamedHost(url: URL, privateHosts: readonly string[]): boolean {
  return privateHosts.includes(url.hostname.toLowerCase()) || privateHosts.includes(url.host.toLowerCase())
}

/**
 * What is wrong with the host of an address that somebody else wrote; null: nothing, by its spelling. WHATWG URL spells
 * numbers of any form as an IPv4 address; both kinds of literals are told from names by their form.
 */
export function faultOfHost(url: URL, privateHosts: readonly string[]): string | null {
  if (isNamedHost(url, privateHosts)) return null
  const host = url.hostname.toLowerCase()
  if (!HOST.test(host) || host.split('.').at(-1)?.match(/^\d/)) return 'its host is not a name'
  if (!host.includes('.') || PRIVATE_NAMES.test(host)) return 'its host is not a public name'
  return PORTS[url.protocol]?.includes(url.port) ? null : `port ${url.port} is not open`
}
