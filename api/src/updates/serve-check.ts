import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { callerAddress } from '../auth/client-address.js'
import type { Deps } from '../context.js'
import { Problem, problemHeaders, toProblemDocument } from '../problems.js'
import type { FirstListener } from '../serve-app.js'
import { rawHeader } from '../transport/raw-header.js'
import { answerCheck } from './answer-check.js'
import { type AnswerBody, toAnswerBody } from './make-answer.js'

const ID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/
const BEFORE_ID = '/v1/apps/'
const AFTER_ID = '/bundles/latest'
const ID_END = BEFORE_ID.length + 36
const END = ID_END + AFTER_ID.length

/**
 * Answers update checks of devices below the framework: the one request that comes from every device, all the time. The
 * route in `routes.ts` is the same to the last byte, and the one that people with a token get.
 */
export function serveCheck(deps: Deps): FirstListener {
  const addressOf = createAddressOf(deps)
  return (request, response) => {
    const { url, method } = request
    if (method !== 'GET' || url === undefined) return false
    const appId = appIdOf(url)
    if (appId === null || rawHeader(request, 'authorization') !== undefined) return false
    const requestId = randomUUID()
    try {
      const body = answerCheck(deps, { appId, url, address: addressOf(request), isProbe: false })
      send(response, { status: 200, requestId, headers: UPDATE_HEADERS, body })
    } catch (error) {
      const problem = toProblem(deps, error, requestId)
      const document = toProblemDocument(problem, deps.publicUrl, requestId)
      const body = toAnswerBody([Buffer.from(JSON.stringify(document))])
      send(response, { status: document.status, requestId, headers: PROBLEM_HEADERS, body })
    }
    return true
  }
}

function appIdOf(url: string): string | null {
  if (!url.startsWith(AFTER_ID, ID_END) || !url.startsWith(BEFORE_ID)) return null
  if (url.length > END && url[END] !== '?') return null
  const id = url.slice(BEFORE_ID.length, ID_END)
  return ID.test(id) ? id : null
}

const OPEN_HEADERS = ['access-control-allow-origin', '*', 'x-content-type-options', 'nosniff']
const UPDATE_HEADERS = ['content-type', 'application/json', 'cache-control', 'no-store', ...OPEN_HEADERS]
const PROBLEM_HEADERS = [...Object.entries(problemHeaders).flat(), ...OPEN_HEADERS]

type Answer = { status: number; requestId: string; headers: readonly string[]; body: AnswerBody }

function send(response: ServerResponse, { status, requestId, headers, body }: Answer): void {
  response.writeHead(status, [...headers, 'x-request-id', requestId, 'content-length', body.length])
  // A text goes out in one write with the headers; latin1 gives each of its bytes as it is.
  if (body.text !== null) return void response.end(body.text, 'latin1')
  for (const piece of body.pieces.slice(0, -1)) response.write(piece)
  response.end(body.pieces.at(-1))
}

/** A connection has one peer: who that is, is found out once. */
function createAddressOf({ proxies }: Deps): (request: IncomingMessage) => string {
  const peers = new WeakMap<Socket, string>()
  return (request) => {
    const { socket } = request
    const forwarded = rawHeader(request, 'x-forwarded-for')
    const known = forwarded === undefined ? peers.get(socket) : undefined
    if (known !== undefined) return known
    const address = callerAddress(socket.remoteAddress, forwarded, proxies) ?? ''
    if (forwarded === undefined) peers.set(socket, address)
    return address
  }
}

function toProblem({ log }: Deps, error: unknown, requestId: string): Problem {
  if (error instanceof Problem) return error
  log.error({ err: error, requestId }, 'update check failed')
  return new Problem('internal-error', `Something went wrong on our side. Quote request ${requestId}.`)
}
