/** What a live-update client under test is told. A client that speaks this contract can be attacked. */
export interface ClientSettings {
  serverUrl: string
  appId: string
  channel: string
  profile: 'release' | 'compat'
  publicKey: string | string[]
  platformKey?: string
  platform: 'android' | 'ios' | 'electron' | 'web'
  appVersionCode: string
  appVersionName: string
}

export type Answer<T> = ({ ok: true } & T) | { ok: false; code: string }

/** The three commands. Each `init` is a new device. */
export interface ConformanceClient {
  /** Configures the client; a key or option that is not acceptable is refused here. */
  init(settings: ClientSettings): Promise<Answer<object>>
  /** Brings the device up to date; what it stages runs from the next `current` on. */
  sync(): Promise<Answer<{ status: string; bundleId: string | null }>>
  /** Starts the app anew and confirms that it works. `page` is the version shown, with all of its files. */
  current(): Promise<Answer<{ bundleId: string | null; page: string }>>
  close(): Promise<void>
}
