import { request } from 'node:http'
import { CommandError } from '../command.js'

type Reply = { status: number; text: string }

function send(socketPath: string, method: string, path: string, body: string | undefined): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, timeout: 600_000 }, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString('utf8') }),
      )
    })
    call.on('timeout', () => call.destroy(new Error('no answer')))
    call.on('error', reject)
    call.end(body)
  })
}

function read(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** Asks the broker over its admin socket, which only the user it runs as may use. */
export async function askBroker(socketPath: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const method = body === undefined ? 'GET' : 'POST'
  const reply = await send(socketPath, method, path, body && JSON.stringify(body)).catch((error: unknown) => {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'no answer'
    throw new CommandError(
      'BROKER_UNREACHABLE',
      `The broker does not answer on ${socketPath} (${reason}); name its BROKER_ADMIN_SOCKET and run this as its user.`,
    )
  })
  const answer = read(reply.text)
  if (reply.status === 200) return answer
  const message = typeof answer['message'] === 'string' ? answer['message'] : `It answered ${reply.status}.`
  throw new CommandError(
    typeof answer['code'] === 'string' ? answer['code'].toUpperCase().replaceAll('-', '_') : 'BROKER',
    message,
  )
}

/** The organizations of the broker's key store that still have keys. */
export async function listOrganizations(socketPath: string): Promise<string[]> {
  const { organizations } = await askBroker(socketPath, '/status')
  if (!Array.isArray(organizations)) return []
  return (organizations as { org: string; destroyed?: boolean }[]).flatMap(({ org, destroyed }) =>
    destroyed === true ? [] : [org],
  )
}
