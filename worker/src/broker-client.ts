import { KeystorePayload } from '@capstan/migrations/messages'
import type { OpenCredentialRequest } from '@capstan/migrations/messages'
import { request } from 'node:http'
import { BuildFailure, platformFailure } from './build-failure.js'
import { retry } from './retry.js'

export type BrokerClient = {
  /** Works once for a lease. The strings of the answer live until garbage collection: JavaScript cannot erase them. */
  openKeystore(leaseToken: string, request: OpenCredentialRequest, signal: AbortSignal): Promise<KeystorePayload>
}

const answerBytes = 4 * 1024 * 1024
const answerTimeoutMs = 15_000
const connectBudgetMs = 15_000

class BrokerAbsent extends Error {
  override name = 'BrokerAbsent'
}

export function createBrokerClient(socketPath: string): BrokerClient {
  return {
    async openKeystore(leaseToken, body, signal) {
      const { status, answer } = await callBroker(socketPath, leaseToken, body, signal)
      try {
        if (status === 403) {
          throw new BuildFailure(
            'credential-refused',
            'The signing credential was not released for this build; the audit log of the organization says why.',
          )
        }
        if (status !== 200) throw unavailable(new Error(`the broker answered ${status}`))
        const payload = KeystorePayload.safeParse(JSON.parse(answer.toString('utf8')))
        if (!payload.success) throw unavailable(new Error('the broker answered in an unknown form'))
        return payload.data
      } finally {
        answer.fill(0)
      }
    },
  }
}

type Answer = { status: number; answer: Buffer }

/** Only a connection that was never made is tried again: a credential opens once for a lease. */
async function callBroker(socketPath: string, token: string, body: unknown, signal: AbortSignal): Promise<Answer> {
  try {
    return await retry(() => callOnce(socketPath, token, body, signal), {
      isTransient: (error) => error instanceof BrokerAbsent,
      budgetMs: connectBudgetMs,
      signal,
    })
  } catch (error) {
    signal.throwIfAborted()
    throw unavailable(error)
  }
}

function callOnce(socketPath: string, token: string, body: unknown, signal: AbortSignal): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const options = { socketPath, path: '/open', method: 'POST', headers, signal, timeout: answerTimeoutMs }
    const call = request(options, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > answerBytes) response.destroy(new Error('the answer is too long'))
        else chunks.push(chunk)
      })
      response.on('error', reject)
      response.on('end', () => {
        const answer = Buffer.concat(chunks)
        for (const chunk of chunks) chunk.fill(0)
        resolve({ status: response.statusCode ?? 0, answer })
      })
    })
    call.on('timeout', () => call.destroy(new Error('the broker does not answer')))
    call.on('error', (error) => {
      const code = 'code' in error ? error.code : undefined
      reject(code === 'ENOENT' || code === 'ECONNREFUSED' ? new BrokerAbsent('no broker', { cause: error }) : error)
    })
    call.end(JSON.stringify(body))
  })
}

const unavailable = (cause: unknown) =>
  platformFailure('broker-unavailable', 'The credential broker does not answer, so nothing could be signed.', cause)
