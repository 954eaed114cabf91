import { App } from '@capacitor/app'
import { Capacitor, WebView } from '@capacitor/core'
import { Filesystem } from '@capacitor/filesystem'
import { Preferences } from '@capacitor/preferences'
import { createLiveUpdate } from '@capstan/sdk/live-update/capacitor'
import { appId, platformKey, publicKey, serverUrl } from './live-update-settings.js'

/** Starts the app, and whatever update is due. */
export async function startWithUpdates(startApp: () => unknown): Promise<void> {
  let confirm = async (): Promise<void> => {}
  try {
    if (Capacitor.isNativePlatform()) {
      const { version, build } = await App.getInfo() // of the native app, whatever bundle asks
      const updates = await createLiveUpdate({
        appId,
        serverUrl,
        channel: 'production',
        publicKey,
        platformKey,
        platform: Capacitor.getPlatform() as 'android' | 'ios',
        appVersionName: version,
        appVersionCode: build,
        strategy: 'next-start',
        filesystem: Filesystem,
        preferences: Preferences,
        webView: WebView,
      })
      updates.subscribe((event) => console.log('live update', event))
      const { nonce } = await updates.launch() // at a cold start this loads the newest bundle, and does not return
      confirm = () => updates.ready(nonce)
    }
  } catch (error) {
    console.error('Live updates are off:', error) // a wrong key or option, or a web view too old: the app runs what it has
  }
  await startApp()
  await confirm() // the app works; without this the next start goes back to the bundle before
}
