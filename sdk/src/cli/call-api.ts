import { CommandError, type Terminal, UsageError } from './command.js'
import type { Arguments } from './read-arguments.js'
import { readBytes } from './read-file.js'

const loopbackHosts = new Set(['localhost', '127.0.0.1', '[::1]'])
const timeoutMs = 120_000

/** The options that every command that talks to the server takes. */
export const serverOptions = ['server', 'token-file'] as const

/** The help of those that need no token. */
export const publicServerHelp = '  --server URL           your Capstan server'

/** Their help. */
export const serverHelp = `${publicServerHelp}
  --token-file FILE      file with your API token; else CAPSTAN_TOKEN_FILE names it; "-" reads it from standard input`

/** One request to the server; a JSON or a form body, a JSON answer. */
export interface Api {
  call(
    method: 'GET' | 'POST' | 'PATCH' | 'PUT',
    path: string,
    body: object | FormData,
  ): Promise<Record<string, unknown>>
}

async function readToken(options: Arguments, terminal: Terminal): Promise<string> {
  const file = options.get('token-file') ?? terminal.tokenFile
  if (file === null) throw new UsageError('--token-file is missing, and CAPSTAN_TOKEN_FILE is not set.')
  const text = file === '-' ? await terminal.readInput() : Buffer.from(await readBytes(file)).toString('utf8')
  const token = text.trim()
  if (!/^[\x21-\x7e]{8,500}$/.test(token))
    throw new CommandError('TOKEN', `${file === '-' ? 'Standard input' : file} does not hold one API token.`)
  return token
}

/** The address of a server: https, or the machine itself. */
export function readServer(text: string): string {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new UsageError(`--server: "${text}" is not a URL.`)
  }
  const secure = url.protocol === 'https:' || (url.protocol === 'http:' && loopbackHosts.has(url.hostname))
  if (!secure || url.username || url.password)
    throw new UsageError('--server must be https, without credentials in it.')
  return url.href.replace(/\/+$/, '')
}

async function readAnswer(response: Response): Promise<Record<string, unknown>> {
  const text = await response.text()
  let answer: Record<string, unknown> | null = null
  try {
    answer = text === '' ? {} : (JSON.parse(text) as Record<string, unknown> | null)
  } catch {
    answer = null
  }
  if (response.ok && answer !== null && typeof answer === 'object') return answer
  const message =
    typeof answer?.['message'] === 'string' ? answer['message'] : `The server answered with status ${response.status}.`
  const code = typeof answer?.['code'] === 'string' ? answer['code'] : `status-${response.status}`
  throw new CommandError(code, message)
}

async function send(server: string, path: string, init: RequestInit): Promise<Record<string, unknown>> {
  const request = { ...init, redirect: 'error' as const, signal: AbortSignal.timeout(timeoutMs) }
  const response = await fetch(`${server}${path}`, request).catch(() => {
    throw new CommandError('NETWORK', `${server} cannot be reached; check --server and that the server runs.`)
  })
  return readAnswer(response)
}

/** Reads something that the server tells everybody. */
export function askPublicly(options: Arguments, path: string): Promise<object> {
  return send(readServer(options.need('server')), path, { method: 'GET' })
}

/** Sends a form that needs no token of the server. */
export function askForm(server: string, path: string, form: Record<string, string>): Promise<Record<string, unknown>> {
  return send(server, path, { method: 'POST', body: new URLSearchParams(form) })
}

/**
 * Opens the server with a token that is never on the command line.
 *
 * @throws {CommandError} with the server's own problem code when it refuses
 */
export async function openApi(options: Arguments, terminal: Terminal): Promise<Api> {
  const server = readServer(options.need('server'))
  const token = await readToken(options, terminal)
  return {
    call(method, path, body) {
      const isForm = body instanceof FormData
      const headers = { authorization: `Bearer ${token}`, ...(isForm ? {} : { 'content-type': 'application/json' }) }
      return send(server, path, {
        method,
        headers,
        ...(method === 'GET' ? {} : { body: isForm ? body : JSON.stringify(body) }),
      })
    },
  }
}
