import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { serve, type ServerType } from '@hono/node-server'
import type { Fixture } from './fixture.js'

const require = createRequire(new URL('../../package.json', import.meta.url))
const entry = join(dirname(require.resolve('@capawesome/cli/package.json')), 'dist', 'index.js')

// A machine without a keyring: the token then comes from the environment of this call alone.
const WITHOUT_KEYRING = `
const file = require.resolve('@napi-rs/keyring', { paths: [process.argv[1]] })
class Entry { constructor() { throw new Error('no keyring') } }
require.cache[file] = Object.assign(new module.constructor(file), { exports: { Entry }, loaded: true })
`

// A keyring of this folder. Without one, the tool forgets at the end of "login" the token that it has just been given.
const WITH_KEYRING = `
const fs = require('node:fs')
const place = process.env.HOME + '/keyring'
const file = require.resolve('@napi-rs/keyring', { paths: [process.argv[1]] })
class Entry {
  getPassword() { return fs.existsSync(place) ? fs.readFileSync(place, 'utf8') : null }
  setPassword(token) { fs.writeFileSync(place, token, { mode: 0o600 }) }
  deletePassword() { fs.rmSync(place) }
}
require.cache[file] = Object.assign(new module.constructor(file), { exports: { Entry }, loaded: true })
`

export type OfficialCli = {
  url: string
  /** Its working folder. */
  folder: string
  run(...args: string[]): Promise<{ code: number; output: string }>
  /** The same on a terminal of its own, without a token: it asks, and what is written to its input are keys. */
  onTerminal(...args: string[]): ChildProcess
  [Symbol.asyncDispose](): Promise<void>
}

/** Serves the API of a fixture and runs the published command-line tool against it. */
export async function startOfficialCli(
  fixture: Fixture,
  token: string,
  { keyring = false } = {},
): Promise<OfficialCli> {
  const folder = join(fixture.folder, 'cli')
  await mkdir(join(folder, 'home'), { recursive: true })
  const [server, outside] = [await serveApi(fixture), await refuseOutside()]
  const url = `http://127.0.0.1:${portOf(server)}`
  fixture.deps.publicUrl = url
  const preload = join(folder, 'keyring.cjs')
  await writeFile(preload, keyring ? WITH_KEYRING : WITHOUT_KEYRING)
  await writeFile(join(folder, '.capawesomerc'), `API_BASE_URL=${url}\nCONSOLE_BASE_URL=${url}\nENVIRONMENT=test\n`)
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: join(folder, 'home'),
    XDG_CONFIG_HOME: join(folder, 'home'),
    TMPDIR: join(folder, 'home'),
    CI: '1',
    NO_COLOR: '1',
    CAPAWESOME_TELEMETRY_DISABLED: '1',
    CAPAWESOME_CLOUD_TOKEN: token,
    HTTPS_PROXY: `http://127.0.0.1:${portOf(outside)}`,
  }
  return {
    url,
    folder,
    run: (...args) =>
      new Promise((resolve) => {
        execFile(process.execPath, ['--require', preload, entry, ...args], { cwd: folder, env }, (error, out, err) =>
          resolve({ code: error ? Number(error.code ?? 1) : 0, output: out + err }),
        )
      }),
    onTerminal: (...args) => {
      const { CI: _ci, CAPAWESOME_CLOUD_TOKEN: _token, ...person } = env
      const command = [process.execPath, '--require', preload, entry, ...args].map((word) => `'${word}'`).join(' ')
      // What the tool opens instead of a browser.
      return spawn('script', ['-qefc', `stty cols 200 rows 50; exec ${command}`, '/dev/null'], {
        cwd: folder,
        env: { ...person, BROWSER: 'true', TERM: 'dumb' },
      })
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([close(server), close(outside)])
    },
  }
}

function serveApi(fixture: Fixture): Promise<ServerType> {
  return new Promise((resolve) => {
    const server = serve({ fetch: fixture.app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(server))
  })
}

/** After each command the tool asks a registry for its newest version; here that leads nowhere, at once. */
function refuseOutside(): Promise<Server> {
  const server = createServer()
  server.on('connect', (_request, socket) => socket.end('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n'))
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
}

const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port

function close(server: ServerType): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    if ('closeAllConnections' in server) server.closeAllConnections()
  })
}

/** Starts `login` on a terminal, chooses the browser, and waits for the code that it shows. */
export async function startBrowserLogin(cli: OfficialCli) {
  const child = cli.onTerminal('login')
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text))
  const exit = once(child, 'exit') as Promise<[number]>
  const until = async (pattern: RegExp) => {
    for (let waited = 0; waited < 2_400 && !pattern.test(output); waited += 1)
      await new Promise((r) => setTimeout(r, 50))
    const found = pattern.exec(output)
    if (!found) throw new Error(`The tool did not say ${pattern}: ${output}`)
    return found
  }
  await until(/How would you like/)
  child.stdin?.write('\r')
  const [, code = ''] = await until(/one-time code: (\w{4}-\w{4})/)
  await until(/Select Yes/)
  child.stdin?.write('\r')
  await until(/Waiting for authentication/)
  return { code, output: () => output, exit }
}
