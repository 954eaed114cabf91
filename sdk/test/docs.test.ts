import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

test('the client on the newcomer page is the one that is compiled against the plugins of Capacitor', () => {
  const page = readFileSync(new URL('../docs/first-signed-update.md', import.meta.url), 'utf8')
  const [client] = Array.from(page.matchAll(/```ts\n([\s\S]*?)```/g), ([, text]) => text)
  const compiled = readFileSync(new URL('newcomer/live-update.ts', import.meta.url), 'utf8')
  // Apps have a bundler, which looks for the extension.
  expect(client).toBe(compiled.replace("settings.js'", "settings'"))
})
