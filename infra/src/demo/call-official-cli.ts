import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Failure } from '../failure.js'
import { runTool, type ToolResult } from '../run-tool.js'
import type { DemoWorld } from './demo-world.js'

export interface OfficialCliPlace {
  readonly checkout: string
  /** Its own home and working folder, so that no sign-in of the person who runs this is touched. */
  readonly folder: string
  readonly apiUrl: string
  readonly baseEnv: Readonly<Record<string, string>>
}

/**
 * Plays a machine without a keyring: the sign-in then goes to the home folder given here. Otherwise it would replace
 * the sign-in that the person who runs this has in the system's own keyring.
 */
const withoutKeyring = `
const file = require.resolve('@napi-rs/keyring', { paths: [process.argv[1]] })
class Entry {
  constructor() {
    throw new Error('this machine has no keyring')
  }
}
require.cache[file] = Object.assign(new module.constructor(file), { exports: { Entry }, loaded: true })
`

const preloadFile = (folder: string): string => join(folder, 'without-keyring.cjs')

/** Writes the settings by which the unchanged CLI finds this API. */
function prepareOfficialCli({ folder, apiUrl }: OfficialCliPlace): void {
  mkdirSync(join(folder, 'home'), { recursive: true })
  const settings = { API_BASE_URL: apiUrl, CONSOLE_BASE_URL: `${apiUrl}/console`, ENVIRONMENT: 'development' }
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}`)
  writeFileSync(preloadFile(folder), withoutKeyring)
  writeFileSync(join(folder, '.capawesomerc'), `${lines.join('\n')}\n`)
}

/**
 * Signs in. Without a keyring version 4.18.4 loses the token again while it notes the user, so it is put where the
 * tool looks for it.
 */
export async function signIn(world: DemoWorld, token: string): Promise<void> {
  const place = officialCliPlace(world)
  prepareOfficialCli(place)
  await callOfficialCli(world, ['login', '--token', token])
  appendFileSync(join(place.folder, 'home', '.capawesome'), `\ntoken=${JSON.stringify(token)}\n`, { mode: 0o600 })
}

/** Runs the official command-line tool as it is published. */
export async function runOfficialCli(
  place: OfficialCliPlace,
  args: readonly string[],
  onOutput?: (text: string) => void,
): Promise<ToolResult> {
  const fromCheckout = createRequire(join(place.checkout, 'package.json'))
  const entry = join(dirname(fromCheckout.resolve('@capawesome/cli/package.json')), 'dist', 'index.js')
  const home = join(place.folder, 'home')
  const env = {
    ...place.baseEnv,
    HOME: home,
    XDG_CONFIG_HOME: home,
    TMPDIR: home,
    CI: '1',
    CAPAWESOME_TELEMETRY_DISABLED: '1',
    NO_COLOR: '1',
  }
  return runTool(process.execPath, ['--require', preloadFile(place.folder), entry, ...args], {
    cwd: place.folder,
    env,
    ...(onOutput ? { onOutput } : {}),
  })
}

export function officialCliPlace({ config, stack, folder }: DemoWorld): OfficialCliPlace {
  return { checkout: config.checkout, folder, apiUrl: stack.apiUrl, baseEnv: config.baseEnv }
}

/** A call that has to work. */
export async function callOfficialCli(
  world: DemoWorld,
  args: readonly string[],
  onOutput?: (text: string) => void,
): Promise<string> {
  const { code, stdout, stderr } = await runOfficialCli(officialCliPlace(world), args, onOutput)
  if (code === 0) return stdout
  throw new Failure(`\`capawesome ${args[0] ?? ''}\` ended with exit code ${code}:\n${`${stdout}${stderr}`.trim()}`)
}

/** The `id` in the JSON object that `--json` prints, whatever the tool says around it. */
export function idIn(output: string): string {
  const text = output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1)
  try {
    const { id } = JSON.parse(text) as { id: string }
    return id
  } catch {
    throw new Failure(`The command-line tool printed no JSON object:\n${output.trim()}`)
  }
}
