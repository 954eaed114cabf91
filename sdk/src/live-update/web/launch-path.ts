/** Where, under the scope, a page asks its service worker what it is. */
export const launchPath = '__capstan/launch'
