import { encodeBase64 } from '../release/index.js'
import { type Command, UsageError } from './command.js'
import { makeRelease, readReleaseOptions, releaseHelp, releaseOptions } from './make-release.js'
import { openSigner, signerHelp, signerOptions } from './open-signer.js'
import { type Arguments, readArguments } from './read-arguments.js'
import { readBundle } from './read-bundle.js'
import { writeNew } from './read-file.js'

/** `capstan sign` */
export const sign: Command = {
  summary: 'sign a bundle without sending it anywhere',
  help: `capstan sign PATH --key FILE [--zip FILE] [--release FILE --app ID --channels LIST --bundle ID …]

  PATH                   a zip, or the folder of your web build
${signerHelp}
  --zip FILE             where the packed zip goes; needed when PATH is a folder

Prints the base64 signature of the zip. With --release it also writes a signed release statement:

  --release FILE         where the statement goes, a DSSE envelope in JSON
  --app ID               the app it is for
  --channels LIST        the channels it is for
  --bundle ID            your name for it, unique for each release
${releaseHelp}`,
  async run(args, terminal) {
    const names = [...signerOptions, 'zip', 'release', 'app', 'channels', 'bundle', ...releaseOptions]
    const options = readArguments(args, { names, operands: ['PATH'] })
    const signer = await openSigner(options, terminal)
    const releaseFile = options.get('release')
    const about = releaseFile === null ? null : { ...readReleaseOptions(options, Date.now()), ...readSubject(options) }
    const bundle = await readBundle(options.operands[0] ?? '')
    if (bundle.packed && options.get('zip') === null) {
      throw new UsageError('--zip is missing: a folder is packed first, and the signature is over that zip.')
    }
    if (bundle.packed) await writeNew(options.need('zip'), bundle.bytes)
    if (about !== null && releaseFile !== null) {
      const { envelope, releaseId } = await makeRelease(bundle, signer, about)
      await writeNew(releaseFile, `${JSON.stringify(envelope)}\n`)
      terminal.note(`release ${about.sequence} is ${releaseId}`)
    }
    terminal.print(encodeBase64(await signer.sign(bundle.bytes)))
    return 0
  },
}

function readSubject(options: Arguments): { appId: string; channels: string[]; bundleId: string } {
  return { appId: options.need('app'), channels: options.need('channels').split(','), bundleId: options.need('bundle') }
}
