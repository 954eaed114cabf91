import { importPlatformKey, ReleaseError } from '../release/index.js'
import { askPublicly, publicServerHelp } from './call-api.js'
import { type Command, CommandError } from './command.js'
import { readArguments } from './read-arguments.js'
import { writeNew } from './read-file.js'

async function keyIdOf(pem: string): Promise<string> {
  try {
    return (await importPlatformKey(pem)).keyId
  } catch (error) {
    if (error instanceof ReleaseError) throw new CommandError(error.code, `The server's key: ${error.message}`)
    throw error
  }
}

/** `capstan platform-key` */
export const platformKey: Command = {
  summary: "fetch the server's public key, to compile into apps",
  help: `capstan platform-key --server URL [--out FILE]

${publicServerHelp}
  --out FILE             where the key goes (platform-key.pub.pem)

The key is public and no token is sent. Compare its id with what the server's operator tells you: an app believes it for
as long as it is installed.`,
  async run(args, terminal) {
    const options = readArguments(args, { names: ['server', 'out'], operands: [] })
    const found: unknown = await askPublicly(options, '/v1/platform-keys')
    const [first] = (Array.isArray(found) ? found : []) as { pem?: unknown }[]
    if (typeof first?.pem !== 'string') {
      throw new CommandError(
        'NO_PLATFORM_KEY',
        'The server signs no channel statements; its operator must give it a key.',
      )
    }
    const keyId = await keyIdOf(first.pem)
    const path = options.get('out') ?? 'platform-key.pub.pem'
    await writeNew(path, first.pem)
    terminal.print(`platform key ${path}`)
    terminal.print(`key id       ${keyId}`)
    return 0
  },
}
