import type { IncomingMessage } from 'node:http'

/**
 * One header of a request, several of its name as one list. `headers` would make an object of all of them, which is a
 * good part of what an update check costs. `name` in lower case.
 */
export function rawHeader({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>, name: string): string | undefined {
  let found: string | undefined
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const key = rawHeaders[at]
    if (key?.length !== name.length || key.toLowerCase() !== name) continue
    found = found === undefined ? rawHeaders[at + 1] : `${found}, ${rawHeaders[at + 1]}`
  }
  return found
}
