// The web client under the command contract, inside a page.
import { createLiveUpdate } from '@capstan/sdk/live-update/web'
import { streamCodec } from '../../dist/live-update/stream-codec.js'

let updates

globalThis.capstanClient = {
  async init(settings) {
    updates = await createLiveUpdate(settings)
    return {}
  },
  sync: () => updates.sync(),
  async confirm() {
    const launch = await updates.launch()
    await updates.ready(launch.nonce)
    return { bundleId: launch.bundleId }
  },
  async inflate({ packed, size }) {
    const content = await streamCodec.inflateRaw(
      Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)),
      size,
    )
    return { content: content && btoa(String.fromCharCode(...content)) }
  },
  launch: () => updates.launch(),
  ready: (nonce) => updates.ready(nonce).then(() => ({})),
}
