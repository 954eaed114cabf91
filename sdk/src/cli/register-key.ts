import { openApi, serverHelp, serverOptions } from './call-api.js'
import type { Command } from './command.js'
import { readArguments } from './read-arguments.js'
import { readTrustedKey } from './read-trusted-key.js'

/** `capstan register-key` */
export const registerKey: Command = {
  summary: 'tell the server which public key signs an app',
  help: `capstan register-key FILE --app ID --server URL --token-file FILE

  FILE                   your public key
  --app ID               the app
${serverHelp}

From then on the server refuses bundles that another key signed. Devices do not depend on it: their key is in the app.`,
  async run(args, terminal) {
    const options = readArguments(args, { names: ['app', ...serverOptions], operands: ['FILE'] })
    const [path] = options.operands as [string]
    const appId = options.need('app')
    const { key, pem } = await readTrustedKey(path)
    const api = await openApi(options, terminal)
    await api.call('POST', `/v1/apps/${encodeURIComponent(appId)}/public-keys`, { pem })
    terminal.print(`key id       ${key.keyId}`)
    return 0
  },
}
