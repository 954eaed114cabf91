import { createHash } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError } from '../command.js'
import { fileError } from '../read-file.js'

/** A copy of a key store: wrapped records, useless without the root key. */
export interface KeyStoreBackup {
  format: 'capstan-key-store-1'
  createdAt: string
  root: string
  records: { org: string; name: string; b64: string }[]
  sha256: string
}

const org = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const name = /^[a-z]{1,16}(-[0-9a-f-]{1,40})?$/

/** Reads a backup and checks that it is whole. */
export function readBackup(text: string): KeyStoreBackup {
  let backup: KeyStoreBackup
  try {
    backup = JSON.parse(text) as KeyStoreBackup
  } catch {
    throw new CommandError('BACKUP_MALFORMED', 'This is not a backup of a key store.')
  }
  if (backup?.format !== 'capstan-key-store-1' || !Array.isArray(backup.records)) {
    throw new CommandError('BACKUP_MALFORMED', 'This is not a backup of a key store.')
  }
  const sha256 = createHash('sha256').update(JSON.stringify(backup.records)).digest('hex')
  if (sha256 !== backup.sha256 || !backup.records.every((record) => org.test(record.org) && name.test(record.name))) {
    throw new CommandError('BACKUP_DAMAGED', 'The backup is damaged: its checksum does not fit. Use another copy.')
  }
  return backup
}

/** Unpacks a backup into a folder that must not exist yet. */
export async function restoreBackup({ records }: KeyStoreBackup, folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 })
    for (const record of records) {
      await mkdir(join(folder, record.org), { mode: 0o700, recursive: true })
      const file = await open(join(folder, record.org, record.name), 'wx', 0o600)
      await file.writeFile(Buffer.from(record.b64, 'base64'))
      await file.sync()
      await file.close()
    }
  } catch (error) {
    throw fileError('Cannot restore to', folder, error)
  }
}
