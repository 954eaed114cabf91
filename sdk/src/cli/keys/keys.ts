import { type Command, type Terminal, UsageError } from '../command.js'
import { type Arguments, readArguments } from '../read-arguments.js'
import { readBytes, writeNew } from '../read-file.js'
import { askBroker } from './ask-broker.js'
import { readBackup, restoreBackup } from './key-store-backup.js'
import { makeMasterKey } from './make-master-key.js'
import { readEnvelopeHeader } from './read-envelope-header.js'
import { rewrapKeys, rotateKeys } from './renew-keys.js'
import { verifyDeletion } from './verify-deletion.js'

interface Action {
  names: readonly string[]
  flags?: readonly string[]
  operands: readonly string[]
  run(options: Arguments, terminal: Terminal): Promise<number>
}

const readText = async (path: string): Promise<string> => Buffer.from(await readBytes(path)).toString('utf8')

async function init(options: Arguments, terminal: Terminal): Promise<number> {
  const [path = ''] = options.operands
  const id = await makeMasterKey(path, options)
  terminal.print(`master key  ${path}`)
  terminal.print(`key id      ${id}`)
  terminal.note('Keep a copy offline: without it, nothing that was sealed can ever be opened.')
  return 0
}

async function status(options: Arguments, terminal: Terminal): Promise<number> {
  const answer = await askBroker(options.need('socket'), '/status')
  const file = options.get('deletion-key')
  if (file !== null) await writeNew(file, (answer['deletionKey'] as { publicKey: string }).publicKey)
  terminal.print(JSON.stringify(answer))
  return 0
}

async function backup(options: Arguments, terminal: Terminal): Promise<number> {
  const [path = ''] = options.operands
  const text = JSON.stringify(await askBroker(options.need('socket'), '/backup'))
  const { records, root, createdAt } = readBackup(text)
  await writeNew(path, `${text}\n`, true)
  terminal.print(`${path}: ${records.length} records of ${createdAt}, under ${root}`)
  terminal.note('It is worth nothing without the root key, which is not in it; keep the two apart.')
  return 0
}

async function restore(options: Arguments, terminal: Terminal): Promise<number> {
  const [path = '', folder = ''] = options.operands
  const found = readBackup(await readText(path))
  await restoreBackup(found, folder)
  terminal.print(
    `${folder}: ${found.records.length} records of ${found.createdAt}; start the broker with it and ${found.root}`,
  )
  return 0
}

async function inspect(options: Arguments, terminal: Terminal): Promise<number> {
  const [path = ''] = options.operands
  terminal.print(JSON.stringify(readEnvelopeHeader(await readBytes(path))))
  return 0
}

async function verify(options: Arguments, terminal: Terminal): Promise<number> {
  const [path = ''] = options.operands
  const { subject, org, destroyedAt, backupsUntil, versions } = await verifyDeletion(
    await readText(path),
    await readText(options.need('key')),
  )
  terminal.print(`destroyed: ${subject.kind} ${subject.id} of ${org} at ${destroyedAt}`)
  for (const { credential, version, fingerprint, kekId, kekVersion } of versions) {
    terminal.print(
      `  credential ${credential} version ${version}, certificate ${fingerprint}, key ${kekId} version ${kekVersion}`,
    )
  }
  terminal.print(`backups of the key store may exist until ${backupsUntil}`)
  return 0
}

const socket = ['socket']
const actions: Record<string, Action> = {
  init: { names: ['id', 'keep'], operands: ['FILE'], run: init },
  status: { names: ['socket', 'deletion-key'], operands: [], run: status },
  rotate: { names: ['socket', 'org'], operands: [], flags: ['all'], run: rotateKeys },
  rewrap: { names: ['socket', 'org'], operands: [], flags: ['all', 'root'], run: rewrapKeys },
  backup: { names: socket, operands: ['FILE'], run: backup },
  restore: { names: [], operands: ['FILE', 'FOLDER'], run: restore },
  inspect: { names: [], operands: ['FILE'], run: inspect },
  verify: { names: ['key'], operands: ['FILE'], run: verify },
}

/** `capstan keys` */
export const keys: Command = {
  summary: 'make, renew, back up and check the keys of credentials',
  help: `capstan keys ACTION

  init FILE [--id ID] [--keep OLD]      make a master key file; --keep adds the keys of an older file, which then only unwrap
  status --socket PATH [--deletion-key FILE]
                                        count keys by root and rows by key; write the public key of deletion certificates
  rotate --socket PATH (--org ID | --all)
                                        give organizations a new key
  rewrap --socket PATH (--org ID | --all) [--root]
                                        move everything under the newest keys; --root: organization keys under the primary root
  backup --socket PATH FILE             copy the key store; useless without the root key
  restore FILE FOLDER                   unpack such a copy into a new folder
  inspect FILE                          what an envelope says in the clear, offline
  verify FILE --key PEM                 check a deletion certificate, offline

PATH is the broker's BROKER_ADMIN_SOCKET. Everything may be interrupted and repeated.
Exit codes: 0 done, 1 refused, failed, or something is left under older keys, 2 wrong usage.`,
  async run([name = '', ...rest], terminal) {
    const action = Object.hasOwn(actions, name) ? actions[name] : undefined
    if (action === undefined) {
      throw new UsageError(`"${name}" is not an action; there are ${Object.keys(actions).join(', ')}.`)
    }
    return action.run(readArguments(rest, action), terminal)
  },
}
