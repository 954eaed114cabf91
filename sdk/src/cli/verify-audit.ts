import { createReadStream } from 'node:fs'
import {
  type AuditExpectations,
  AuditRefusal,
  type Checkpoint,
  readCheckpoint,
  verifyAuditExport,
} from '../audit/index.js'
import { type Command, UsageError } from './command.js'
import { type Arguments, readArguments, readInteger } from './read-arguments.js'
import { fileError, readBytes } from './read-file.js'

const exitCodes = { intact: 0, tampered: 1, unverifiable: 3 }

async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path).catch((error: Error) => {
    // Exit code 1 is kept for a log that was tampered with.
    throw new UsageError(error.message)
  })
  return Buffer.from(bytes).toString('utf8')
}

async function readExpectedCheckpoint(options: Arguments): Promise<Checkpoint | null> {
  const [note, key] = [options.get('checkpoint'), options.get('checkpoint-key')]
  if (note === null && key === null) return null
  if (note === null || key === null) throw new UsageError('--checkpoint and --checkpoint-key go together.')
  return readCheckpoint(await readText(note), await readText(key))
}

function readExpectations(options: Arguments): AuditExpectations {
  const head = options.get('head')
  const [, size, hash] = /^(\d{1,15}):([0-9a-f]{64})$/.exec(head ?? '') ?? []
  if (head !== null && (size === undefined || hash === undefined)) {
    throw new UsageError('--head must be SIZE:HASH, like 120:5452ad….')
  }
  const minimum = options.get('min-size')
  const org = options.get('org')
  return {
    ...(size !== undefined && hash !== undefined ? { head: { size: Number(size), hash } } : {}),
    ...(minimum === null
      ? {}
      : { minimumSize: readInteger(minimum, 'min-size', { min: 1, max: Number.MAX_SAFE_INTEGER }) }),
    ...(org === null ? {} : { org }),
  }
}

/** `capstan verify-audit` */
export const verifyAudit: Command = {
  summary: 'check an exported audit log, offline',
  help: `capstan verify-audit FILE [--org ID] [--min-size N] [--head SIZE:HASH] [--checkpoint FILE --checkpoint-key FILE]

  FILE                   the export, JSON Lines
  --org ID               the organization it must be of
  --min-size N           there must be at least N events
  --head SIZE:HASH       what this command printed before: the hash of event SIZE
  --checkpoint FILE      a signed checkpoint, and the Ed25519 public key (PEM) that signed it
  --checkpoint-key FILE

Without --head or a checkpoint, a log that was rewritten from start to end cannot be told from the real one.
Exit codes: 0 intact, 1 tampered with, 2 wrong usage, 3 cannot be verified (empty, or the checkpoint covers less than the log).`,
  async run(args, terminal) {
    const names = ['org', 'min-size', 'head', 'checkpoint', 'checkpoint-key']
    const options = readArguments(args, { names, operands: ['FILE'] })
    const [path] = options.operands as [string]
    const expectations = readExpectations(options)
    let checkpoint: Checkpoint | null
    try {
      checkpoint = await readExpectedCheckpoint(options)
    } catch (error) {
      if (!(error instanceof AuditRefusal)) throw error
      terminal.note(`cannot be verified: ${error.message} (${error.code})`)
      return exitCodes.unverifiable
    }
    const checkpoints = checkpoint ? [checkpoint] : []
    const verdict = await verifyAuditExport(createReadStream(path), { ...expectations, checkpoints }).catch(
      (error: unknown) => {
        throw new UsageError(fileError('Cannot read', path, error).message)
      },
    )
    if (!verdict.ok) {
      terminal.print(`tampered: event ${verdict.seq}: ${verdict.reason} (${verdict.code})`)
      return exitCodes.tampered
    }
    if (verdict.size === 0 || (checkpoint !== null && verdict.anchored < verdict.size)) {
      const reason =
        verdict.size === 0 ? 'the log is empty' : `the checkpoint covers ${verdict.anchored} of ${verdict.size} events`
      terminal.print(`cannot be verified: ${reason}`)
      return exitCodes.unverifiable
    }
    terminal.print(`intact: ${verdict.size} events of ${verdict.org}`)
    terminal.print(`head: ${verdict.size}:${verdict.head}`)
    if (verdict.erased > 0) terminal.print(`erased: ${verdict.erased} personal values`)
    return exitCodes.intact
  },
}
