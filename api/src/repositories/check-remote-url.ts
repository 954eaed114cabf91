import { faultOfHost } from '../outbound/check-host.js'
import { Problem } from '../problems.js'

const MAX_URL = 2_000
const USER = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/
const SCP_LIKE = /^([A-Za-z0-9_][A-Za-z0-9._-]*)@([A-Za-z0-9][A-Za-z0-9.-]*):([^/\s].*)$/

export type RemoteUrlRules = {
  /** `https:` and, for git, `ssh:`. */
  protocols: readonly string[]
  /** `host` or `host:port` on the operator's own network that sources may name all the same. */
  privateHosts: readonly string[]
}

/**
 * The address of a source as it is given to git or a download tool, or a refusal. Nothing is looked up here: which
 * addresses a name leads to is judged where the connection is made. What is refused is what a tool would take for
 * something else than an address (an option, a local path, another transport), credentials, and hosts that cannot be
 * public.
 */
export function checkRemoteUrl(text: string, rules: RemoteUrlRules): URL {
  const refuse = (why: string) =>
    new Problem('source-address-refused', `The address of the source is not allowed: ${why}.`)
  if (text.length > MAX_URL) throw refuse(`it is longer than ${MAX_URL} characters`)
  if (/[^\x21-\x7e]|\\/.test(text)) throw refuse('it holds spaces, backslashes or characters outside of ASCII')
  const scp = rules.protocols.includes('ssh:') ? SCP_LIKE.exec(text) : null
  const spelled = scp ? `ssh://${scp[1]}@${scp[2]}/${scp[3]}` : text
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/[^/]/i.exec(spelled)?.[1]?.toLowerCase()
  const schemes = rules.protocols.map((protocol) => `${protocol}//`).join(' or ')
  if (scheme === undefined || !rules.protocols.includes(`${scheme}:`)) throw refuse(`it must begin with ${schemes}`)
  const url = URL.canParse(spelled) ? new URL(spelled) : null
  if (url === null) throw refuse('it cannot be read')
  const isSsh = url.protocol === 'ssh:'
  if (url.password !== '' || (!isSsh && url.username !== '')) {
    throw refuse('it holds a user name or password. Store them in a git connection')
  }
  if (url.username !== '' && !USER.test(url.username)) throw refuse('its user name is not plain')
  const fault = faultOfHost(url, rules.privateHosts)
  if (fault !== null) throw refuse(fault)
  // The text itself as well: reading a URL resolves "..".
  const segments = [...url.pathname.split('/'), ...spelled.split('/')]
  if (segments.some((segment) => segment.startsWith('-') || segment === '..')) throw refuse('its path is not plain')
  if (url.pathname === '/' || url.hash !== '' || (isSsh && url.search !== '')) throw refuse('its path is not plain')
  return url
}
