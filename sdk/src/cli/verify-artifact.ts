import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { readProvenance } from '../provenance/read-provenance.js'
import { importPlatformKey, ReleaseError } from '../release/index.js'
import { type Command, CommandError } from './command.js'
import { readArguments } from './read-arguments.js'
import { fileError, readBytes } from './read-file.js'

/** `capstan verify-artifact` */
export const verifyArtifact: Command = {
  summary: 'check where a built file comes from, offline',
  help: `capstan verify-artifact FILE --provenance FILE --key FILE [--app ID] [--commit SHA] [--builder URL]

  FILE              what was built: an APK, a zip, …
  --provenance FILE its statement: GET /v1/apps/…/artifacts/…/provenance
  --key FILE        the platform's public key (PEM): GET /v1/provenance-key, kept apart from the other two
  --app ID          the app it must be of
  --commit SHA      the commit it must be built from
  --builder URL     the platform that must have built it

Exit codes: 0 the platform states that it built exactly this file, 1 it does not, 2 wrong usage.`,
  async run(args, terminal) {
    const names = ['provenance', 'key', 'app', 'commit', 'builder']
    const options = readArguments(args, { names, operands: ['FILE'] })
    const [path] = options.operands as [string]
    const envelope = parse(await readText(options.need('provenance')))
    const key = await importPlatformKey(await readText(options.need('key'))).catch(() => {
      throw new CommandError('KEY_MALFORMED', '--key is not one Ed25519 public key in SPKI PEM.')
    })
    const expected = {
      sha256: await hashFile(path),
      ...(options.get('app') !== null && { app: options.get('app') ?? '' }),
      ...(options.get('commit') !== null && { commit: options.get('commit') ?? '' }),
      ...(options.get('builder') !== null && { builder: options.get('builder') ?? '' }),
    }
    const facts = await readProvenance(envelope, key, expected).catch((error: unknown) => {
      if (error instanceof ReleaseError) throw new CommandError(error.code, error.message)
      throw error
    })
    terminal.print(`verified: SHA-256 ${expected.sha256}`)
    terminal.print(`app ${facts.app}, build ${facts.build}, by ${facts.builder}`)
    for (const source of facts.sources) terminal.print(`source: ${source}`)
    return 0
  },
}

async function readText(path: string): Promise<string> {
  return Buffer.from(await readBytes(path)).toString('utf8')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new CommandError('ENVELOPE_MALFORMED', 'The provenance is not a DSSE envelope.')
  }
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash).catch((error: unknown) => {
    throw fileError('Cannot read', path, error)
  })
  return hash.digest('hex')
}
