import { openApi, serverHelp, serverOptions } from './call-api.js'
import type { Command } from './command.js'
import { readArguments } from './read-arguments.js'
import { textOf } from './upload-zip.js'

/** `capstan create-app` */
export const createApp: Command = {
  summary: 'make an app and its first channel; prints the id of the app',
  help: `capstan create-app NAME --channel CHANNEL --server URL --token-file FILE

  NAME                   what people call the app
  --channel CHANNEL      the channel that devices will follow, like production
${serverHelp}

Standard output is the id alone: APP=$(capstan create-app …) takes it. The token's owner must be allowed to make apps.`,
  async run(args, terminal) {
    const options = readArguments(args, { names: ['channel', ...serverOptions], operands: ['NAME'] })
    const [name] = options.operands as [string]
    const channel = options.need('channel')
    const api = await openApi(options, terminal)
    const appId = textOf(await api.call('POST', '/v1/apps', { name }), 'id')
    terminal.print(appId)
    await api.call('POST', `/v1/apps/${encodeURIComponent(appId)}/channels`, { name: channel })
    terminal.note(`app "${name}" with the channel "${channel}"`)
    return 0
  },
}
