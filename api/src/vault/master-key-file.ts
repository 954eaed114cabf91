import { timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'

import { readSecretFile, refuseWeakKey, SecretFileError } from './read-secret-file.js'
import { Secret } from './secret.js'

export type MasterKey = { id: string; key: Secret }

const SETTING = 'MASTER_KEY_FILE'
const LINE = /^mk1:([a-z0-9-]{1,32}):([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=):([0-9a-f]{8})\n?$/

/** One line `mk1:<id>:<base64 of 32 bytes>:<crc32>`; the CRC, eight hex digits, is of the text before its colon. */
export async function readMasterKeyFile(path: string): Promise<MasterKey> {
  using line = new Secret(await readSecretFile(path, SETTING))
  return line.use((bytes) => parseLine(bytes.toString('latin1'), path))
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
