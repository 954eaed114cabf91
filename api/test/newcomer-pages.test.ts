import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createLiveUpdate, type LiveUpdate } from '@capstan/sdk/live-update/node'
import { serve, type ServerType } from '@hono/node-server'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createFixture, type Fixture } from './fixture.js'

const sdk = fileURLToPath(new URL('../../sdk', import.meta.url))
const platform = generateKeyPairSync('ed25519', {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

/** A code block of a page: `sh` is pasted; `sh app`, `sh native` need packages and phones of others; `sh refused` ends in a refusal. */
type Block = { kind: string; text: string }

async function blocksOf(page: string): Promise<Block[]> {
  const text = await readFile(join(sdk, 'docs', page), 'utf8')
  return Array.from(text.matchAll(/^```(sh(?: \w+)?)\n([\s\S]*?)^```/gm), ([, kind = '', block = '']) => ({
    kind,
    text: block,
  }))
}

let fixture: Fixture
let server: ServerType
let serverUrl: string
let folder: string
let app: string

beforeAll(async () => {
  fixture = await createFixture({
    overrides: { channelStatementKey: platform.privateKey, publicUrl: 'http://localhost:4400' },
  })
  server = serve({ fetch: fixture.app.fetch, hostname: '127.0.0.1', port: 0 })
  if (!server.listening) await once(server, 'listening')
  serverUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
beforeEach(prepareMachine)
afterAll(async () => {
  server.close()
  if ('closeAllConnections' in server) server.closeAllConnections()
  await fixture[Symbol.asyncDispose]()
})

/** What a newcomer has: a checkout, the token of its `npm start`, an app. Tools of others are stood in for. */
async function prepareMachine(): Promise<void> {
  const org = await fixture.createOrganization()
  folder = await mkdtemp(join(fixture.folder, 'newcomer-'))
  const at = (...names: string[]) => join(folder, ...names)
  app = at('my-app')
  for (const path of [at('home', 'capstan', '.capstan'), at('tools'), join(app, 'src')])
    await mkdir(path, { recursive: true })
  await writeFile(
    at('home', 'capstan', '.capstan', 'dev.json'),
    JSON.stringify({ organizations: [{ tokens: { owner: org.tokens.owner } }] }),
  )
  const tools = {
    npx: `[ "$1" = capstan ] || exit 0
shift
exec '${process.execPath}' '${sdk}/bin/capstan.js' "$@"`,
    npm: `case "$1" in
  pack) echo capstan-sdk.tgz ;;
  run) mkdir -p dist && echo "built" >> page && cat page > dist/index.html ;;
esac`,
  }
  for (const [name, script] of Object.entries(tools)) {
    await writeFile(at('tools', name), `#!/bin/sh\n${script}\n`)
    await chmod(at('tools', name), 0o755)
  }
  await writeFile(at('environment'), '')
}

/** Pastes a block into the newcomer's shell, which remembers what was exported. */
function paste(text: string): Promise<{ code: number; output: string }> {
  const environment = join(folder, 'environment')
  const PATH = `${join(folder, 'tools')}:${process.env.PATH}`
  const script = `. '${environment}'\nset -e\n${text}\nexport -p > '${environment}'`
  return new Promise((resolve) => {
    const options = { cwd: app, env: { PATH, HOME: join(folder, 'home') } }
    execFile('bash', ['-c', script], options, (error, out, err) =>
      resolve({ code: error ? Number(error.code ?? 1) : 0, output: out + err }),
    )
  })
}

/** Another phone with this app: what it shows after its first update, or why it refused. */
async function phoneShows(): Promise<string> {
  const settings = await readFile(join(app, 'src', 'live-update-settings.ts'), 'utf8')
  const setting = (name: string) => new RegExp(`const ${name} = ['\`]([^'\`]*)['\`]`).exec(settings)?.[1] ?? ''
  const phone = await mkdtemp(join(folder, 'phone-'))
  await mkdir(join(phone, 'built-in'))
  const device: LiveUpdate = await createLiveUpdate({
    appId: setting('appId'),
    serverUrl: setting('serverUrl'),
    channel: 'production',
    publicKey: setting('publicKey'),
    platformKey: setting('platformKey'),
    platform: 'android',
    appVersionCode: '1',
    appVersionName: '1.0',
    directory: join(phone, 'live'),
    builtInDirectory: join(phone, 'built-in'),
    world: { fetch: async (url, init) => fixture.app.request(url, init) },
  })
  const refused = await device.sync().then(
    () => null,
    (error: { code: string }) => error.code,
  )
  if (refused !== null) return refused
  return readFile(join((await device.launch()).directory, 'index.html'), 'utf8')
}

describe('the pages for newcomers, pasted block by block', () => {
  test('a first signed update', async () => {
    const blocks = await blocksOf('first-signed-update.md')
    const address = 'http://127.0.0.1:4400 '
    expect(blocks.filter(({ text }) => text.includes(address))).toHaveLength(1)
    const shown: string[] = []
    for (const { kind, text } of blocks) {
      if (kind === 'sh app' || kind === 'sh native') continue
      const { code, output } = await paste(text.replace(address, `${serverUrl} `))
      if (kind === 'sh refused') {
        expect({ code, output }).toEqual({ code: 1, output: expect.stringContaining('(bundle-signature-invalid)') })
      } else expect({ code, output }).toMatchObject({ code: 0 })
      if (/capstan (?:publish|rotate-root)/.test(text)) shown.push(await phoneShows())
    }
    // Published; refused, and what was there stays; a new root, under which nothing is published yet; published anew.
    expect(shown).toEqual(['built\n', 'built\n', 'BAD_SIGNATURE', 'built\n'])
    expect(await readFile(join(app, '.gitignore'), 'utf8')).toBe('release-key.pem\n')
  })

  test('moving from the Capawesome plugin, with a key that is there', async () => {
    const before = `export SERVER=${serverUrl} CAPSTAN_TOKEN_FILE=$HOME/.capstan-token
node -p 'require(process.argv[1]).organizations[0].tokens.owner' $HOME/capstan/.capstan/dev.json > $CAPSTAN_TOKEN_FILE
export APP=$(npx capstan create-app "Moving" --channel production --server $SERVER)
npx capstan keygen
npm run build`
    const blocks = await blocksOf('moving-from-capawesome.md')
    expect(blocks.length).toBeGreaterThanOrEqual(2)
    for (const text of [before, ...blocks.map((block) => block.text)]) {
      const { code, output } = await paste(text)
      expect({ code, output }).toMatchObject({ code: 0 })
    }
  })
})
