/** What the page's shell writes into an app. */
export const appId: string = ''
export const serverUrl: string = ''
export const publicKey: string = ''
export const platformKey: string = ''
