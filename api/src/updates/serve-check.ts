import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { callerAddress } from '../auth/client-address.js'
import type { Deps } from '../context.js'
import { Problem, problemHeaders, toProblemDocument } from '../problems.js'
import type { FirstListener } from '../serve-app.js'
import { answerCheck } from './answer-check.js'
import type { AnswerBody } from './make-answer.js'

const ADDRESS =
  /^\/v1\/apps\/([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})\/bundles\/latest(?:\?|$)/

/**
 * Answers update checks of devices below the framework: the one request that comes from every device, all the time. The
 * route in `routes.ts` is the same to the last byte, and the one that people with a token get.
 */
export function serveCheck(deps: Deps): FirstListener {
  return (request, response) => {
    const { url, method, headers } = request
    if (method !== 'GET' || url === undefined || headers.authorization !== undefined) return false
    const appId = ADDRESS.exec(url)?.[1]
    if (appId === undefined) return false
    const requestId = randomUUID()
    try {
      const body = answerCheck(deps, { appId, url, address: addressOf(deps, request), isProbe: false })
      send(response, { status: 200, requestId, headers: UPDATE_HEADERS, body })
    } catch (error) {
      const problem = toProblem(deps, error, requestId)
      const document = toProblemDocument(problem, deps.publicUrl, requestId)
      const body = [Buffer.from(JSON.stringify(document))]
      send(response, { status: document.status, requestId, headers: PROBLEM_HEADERS, body })
    }
    return true
  }
}

const OPEN_HEADERS = ['access-control-allow-origin', '*', 'x-content-type-options', 'nosniff']
const UPDATE_HEADERS = ['content-type', 'application/json', 'cache-control', 'no-store', ...OPEN_HEADERS]
const PROBLEM_HEADERS = [...Object.entries(problemHeaders).flat(), ...OPEN_HEADERS]

type Answer = { status: number; requestId: string; headers: readonly string[]; body: AnswerBody }

function send(response: ServerResponse, { status, requestId, headers, body }: Answer): void {
  const length = body.reduce((sum, piece) => sum + piece.length, 0)
  response.writeHead(status, [...headers, 'x-request-id', requestId, 'content-length', String(length)])
  for (const piece of body.slice(0, -1)) response.write(piece)
  response.end(body.at(-1))
}

function addressOf({ proxies }: Deps, { socket, headers }: IncomingMessage): string {
  const forwarded = headers['x-forwarded-for']
  return callerAddress(socket.remoteAddress, Array.isArray(forwarded) ? forwarded.join(',') : forwarded, proxies) ?? ''
}

function toProblem({ log }: Deps, error: unknown, requestId: string): Problem {
  if (error instanceof Problem) return error
  log.error({ err: error, requestId }, 'update check failed')
  return new Problem('internal-error', `Something went wrong on our side. Quote request ${requestId}.`)
}
