// The web client under the command contract, inside a page.
import { createLiveUpdate } from '@capstan/sdk/live-update/web'

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
  launch: () => updates.launch(),
  ready: (nonce) => updates.ready(nonce).then(() => ({})),
}
