import { validateArchive } from '../archive/index.js'
import {
  openEnvelope,
  parseReleaseStatement,
  payloadTypes,
  ReleaseError,
  verifyArchiveBytes,
  verifyFiles,
  verifySignature,
} from '../release/index.js'
import { type Command, CommandError, UsageError } from './command.js'
import { readArguments } from './read-arguments.js'
import { readBundle } from './read-bundle.js'
import { readBytes } from './read-file.js'
import { readTrustedKey } from './read-trusted-key.js'

function parseEnvelope(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown
  } catch {
    throw new CommandError('ENVELOPE_MALFORMED', `${path} is not a signed release: it is not JSON.`)
  }
}

/** `capstan verify` */
export const verify: Command = {
  summary: 'check a signed zip as a device would, offline',
  help: `capstan verify ZIP --public-key FILE [--signature BASE64] [--release FILE]

  ZIP                    the bundle
  --public-key FILE      the key that apps have pinned
  --signature BASE64     what capstan sign printed: the signature of the zip
  --release FILE         the signed release statement; size, hash and every file of the zip are checked against it

At least one of the two is needed. Exit codes: 0 good, 1 refused, 2 wrong usage.`,
  async run(args, terminal) {
    const options = readArguments(args, { names: ['public-key', 'signature', 'release'], operands: ['ZIP'] })
    const [path] = options.operands as [string]
    const [signature, releaseFile] = [options.get('signature'), options.get('release')]
    if (signature === null && releaseFile === null) throw new UsageError('--signature or --release is needed.')
    const { key } = await readTrustedKey(options.need('public-key'))
    const { bytes, packed } = await readBundle(path)
    if (packed) throw new UsageError(`${path} is a folder; what is signed is the zip of it.`)
    try {
      if (signature !== null) await verifySignature([key], bytes, signature)
      if (releaseFile !== null) {
        const envelope = parseEnvelope(await readBytes(releaseFile), releaseFile)
        const { payload, sha256 } = await openEnvelope(envelope, payloadTypes.release, [key])
        const release = parseReleaseStatement(payload)
        await verifyArchiveBytes(release, bytes)
        verifyFiles(release, await validateArchive(bytes))
        terminal.print(`release      ${release.sequence} of ${release.appId} for ${release.channels.join(', ')}`)
        terminal.print(`release id   ${sha256}`)
      }
    } catch (error) {
      if (error instanceof ReleaseError)
        throw new CommandError(error.code, `Devices would refuse ${path}: ${error.message}`)
      throw error
    }
    terminal.print(`good         signed by ${key.keyId}`)
    return 0
  },
}
