import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { at, capstan, useHome } from './cli-lab.js'
import { type PublishServer, startPublishServer } from './publish-server.js'

const folder = fileURLToPath(new URL('../docs', import.meta.url))

/** The lines of the shell blocks that call our command, as arguments. */
function commandsIn(text: string): string[] {
  const blocks = Array.from(text.matchAll(/```sh\n([\s\S]*?)```/g), (match) => match[1]!)
  return blocks.flatMap((block) => block.split('\n')).filter((line) => line.startsWith('capstan '))
}

const pages = readdirSync(folder).filter((name) => commandsIn(readFileSync(`${folder}/${name}`, 'utf8')).length > 0)

test('two pages have commands', () =>
  expect(pages.toSorted()).toEqual(['first-signed-update.md', 'moving-from-capawesome.md']))

describe.each(pages)('%s', (name) => {
  useHome()
  let api: PublishServer
  beforeAll(async () => {
    api = await startPublishServer()
  })
  afterAll(() => new Promise((resolve) => api.server.close(resolve)))

  test('every command in it does what it says, one after the other', { timeout: 60_000 }, async () => {
    const lines = commandsIn(readFileSync(`${folder}/${name}`, 'utf8'))
    expect(lines.length).toBeGreaterThan(2)
    const written: Record<string, string> = { dist: at('web'), $APP: 'app', $SERVER: api.url }
    if (!lines.some((line) => line === 'capstan keygen')) {
      for (const file of ['key.pem', 'key.pub.pem']) writeFileSync(at(`release-${file}`), readFileSync(at(file)))
    }
    for (const line of lines) {
      const words = line
        .replace(/\s+#.*/, '')
        .split(/\s+/)
        .slice(1)
      const args = words.map((word) => written[word] ?? (/\.(?:pem|zip|json)$/.test(word) ? at(word) : word))
      if (words[0] === 'keygen' && !words.includes('--private')) args.push('--private', at('release-key.pem'))
      // The test's server takes everything; that a stranger's key is refused is the server's own test.
      const outcome = await capstan(args, { tokenFile: at('token') })
      expect(outcome, line).toMatchObject({ code: 0 })
    }
  })
})
