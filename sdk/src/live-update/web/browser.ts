/** The few parts of a browser that the web adapter uses, in their own words, so that no DOM types are needed. */
interface BrowserCache {
  match(request: string): Promise<Response | undefined>
  put(request: string, response: Response): Promise<void>
  delete(request: string): Promise<boolean>
  keys(): Promise<readonly { url: string }[]>
}

export interface BrowserCaches {
  open(name: string): Promise<BrowserCache>
  delete(name: string): Promise<boolean>
  keys(): Promise<string[]>
}

export interface BrowserLocks {
  request<T>(name: string, run: (lock: object | null) => Promise<T>): Promise<T>
  request<T>(name: string, options: { ifAvailable: true }, run: (lock: object | null) => Promise<T>): Promise<T>
}

/** What a page has. */
export interface BrowserWindow {
  caches: BrowserCaches
  navigator: { locks: BrowserLocks; serviceWorker?: { controller: object | null } }
  location: { origin: string; reload(): void }
}

export interface BrowserFetchEvent {
  request: { url: string; method: string; destination: string }
  clientId: string
  resultingClientId: string
  respondWith(response: Promise<Response>): void
}

/** What a service worker has. */
export interface BrowserWorker {
  caches: BrowserCaches
  navigator: { locks: BrowserLocks }
  location: { origin: string }
  registration: { scope: string }
  clients: { get(id: string): Promise<unknown>; claim(): Promise<void> }
  skipWaiting(): Promise<void>
  fetch(request: unknown): Promise<Response>
  addEventListener(type: 'fetch', listener: (event: BrowserFetchEvent) => void): void
  addEventListener(
    type: 'install' | 'activate',
    listener: (event: { waitUntil(promise: Promise<unknown>): void }) => void,
  ): void
}
