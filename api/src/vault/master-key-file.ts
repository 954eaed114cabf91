import { timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'

import { readSecretFile, refuseWeakKey, SecretFileError } from './read-secret-file.js'
import { Secret } from './secret.js'

export type MasterKey = { id: string; key: Secret }

const SETTING = 'MASTER_KEY_FILE'
const MAX_KEYS = 8
const LINE = /^mk1:([a-z0-9-]{1,32}):([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=):([0-9a-f]{8})$/

/**
 * Lines `mk1:<id>:<base64 of 32 bytes>:<crc32>`; the CRC, eight hex digits, is of the text before its colon. The first
 * is the primary, under which new keys go; the others are older and only unwrap.
 */
export async function readMasterKeyFile(path: string): Promise<[MasterKey, ...MasterKey[]]> {
  using content = new Secret(await readSecretFile(path, SETTING))
  const lines = content.use((bytes) => bytes.toString('latin1').replace(/\n$/, '').split('\n'))
  if (lines.length > MAX_KEYS) throw new SecretFileError(`${SETTING}: ${path} holds more than ${MAX_KEYS} keys.`)
  const [primary, ...older] = lines.map((line) => parseLine(line, path))
  if (primary === undefined) throw new SecretFileError(`${SETTING}: ${path} is empty.`)
  const ids = new Set([primary, ...older].map(({ id }) => id))
  if (ids.size !== lines.length) {
    throw new SecretFileError(`${SETTING}: ${path} holds two keys of one id; give every key its own.`)
  }
  return [primary, ...older]
}

function parseLine(text: string, path: string): MasterKey {
  const [, id, base64, check] = LINE.exec(text) ?? []
  if (id === undefined || base64 === undefined || check === undefined) {
    throw new SecretFileError(`${SETTING}: ${path} is not one line of the form mk1:<id>:<base64 of 32 bytes>:<crc32>.`)
  }
  const expected = crc32(`mk1:${id}:${base64}`).toString(16).padStart(8, '0')
  if (!timingSafeEqual(Buffer.from(check), Buffer.from(expected))) {
    throw new SecretFileError(
      `${SETTING}: the checksum in ${path} does not fit its key; restore the file from its backup.`,
    )
  }
  const key = Buffer.from(base64, 'base64')
  refuseWeakKey(key, SETTING, path)
  return { id, key: new Secret(key) }
}
