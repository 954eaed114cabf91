/** An answer about the latest bundle, as a plugin understands it. */
export type Update = {
  artifactType: 'zip' | 'manifest'
  bundleId: string
  url: string
  checksum: string | null
  signature: string | null
}

type Answer = Record<string, unknown>

const textOr = <T>(value: unknown, otherwise: T): string | T => (typeof value === 'string' ? value : otherwise)

/** Android takes what it finds. */
export function readAsAndroid(text: string): Update {
  const answer = JSON.parse(text) as Answer
  return {
    artifactType: answer['artifactType'] === 'manifest' ? 'manifest' : 'zip',
    bundleId: textOr(answer['bundleId'], ''),
    url: textOr(answer['url'], ''),
    checksum: textOr(answer['checksum'], null),
    signature: textOr(answer['signature'], null),
  }
}

/** iOS decodes strictly: one wrong type anywhere, and there is "no update". */
export function readAsIos(text: string): Update | null {
  const answer = JSON.parse(text) as Answer
  const { artifactType, bundleId, url, customProperties = {} } = answer
  const optional = [answer['channelName'], answer['checksum'], answer['signature']]
  const good =
    (artifactType === 'zip' || artifactType === 'manifest') &&
    typeof bundleId === 'string' &&
    typeof url === 'string' &&
    optional.every((value) => value === undefined || value === null || typeof value === 'string') &&
    Object.values(customProperties as Answer).every((value) => typeof value === 'string')
  return good ? readAsAndroid(text) : null
}
