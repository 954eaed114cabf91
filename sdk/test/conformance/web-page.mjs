// The web client under the command contract, inside a page.
import { createLiveUpdate } from '@capstan/sdk/live-update/web'
import { streamCodec } from '../../dist/live-update/stream-codec.js'

let updates
const events = []

globalThis.capstanClient = {
  async init(settings) {
    updates = await createLiveUpdate(settings)
    updates.subscribe((event) => (event.type === 'acquired' || event.type === 'fell-back') && events.push(event))
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
  events: async () => ({ events: events.splice(0) }),
  launch: () => updates.launch(),
  ready: (nonce) => updates.ready(nonce).then(() => ({})),
}
