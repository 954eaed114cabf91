import { GitCredential, KeystorePayload, SecretVariables } from '@capstan/migrations/messages'
import type { OpenCredentialRequest, OpenSecretsRequest } from '@capstan/migrations/messages'
import { request } from 'node:http'
import type { z } from 'zod'
import { BuildFailure, platformFailure } from './build-failure.js'
import { retry } from './retry.js'

export type BrokerClient = {
  /** Works once for a lease. The strings of the answer live until garbage collection: JavaScript cannot erase them. */
  openKeystore(leaseToken: string, request: OpenCredentialRequest, signal: AbortSignal): Promise<KeystorePayload>
  /** The secret variables of the build; works once for a lease. */
  openVariables(leaseToken: string, attempt: number, signal: AbortSignal): Promise<Record<string, string>>
  /** What the git host asks for; works once for a lease. */
  openGitCredential(leaseToken: string, attempt: number, signal: AbortSignal): Promise<GitCredential>
}

const answerBytes = 4 * 1024 * 1024
const answerTimeoutMs = 15_000
const connectBudgetMs = 15_000

class BrokerAbsent extends Error {
  override name = 'BrokerAbsent'
}

export function createBrokerClient(socketPath: string): BrokerClient {
  const openOthers = <T>(schema: z.ZodType<T>, token: string, request: OpenSecretsRequest, signal: AbortSignal) =>
    ask(schema, { socketPath, path: '/open-secrets', token, body: request, signal })
  return {
    openKeystore: (token, body, signal) => ask(KeystorePayload, { socketPath, path: '/open', token, body, signal }),
    async openVariables(token, attempt, signal) {
      return (await openOthers(SecretVariables, token, { attempt, purpose: 'variables' }, signal)).variables
    },
    openGitCredential: (token, attempt, signal) =>
      openOthers(GitCredential, token, { attempt, purpose: 'source' }, signal),
  }
}

type Question = {
  socketPath: string
  path: '/open' | '/open-secrets'
  token: string
  body: unknown
  signal: AbortSignal
}

async function ask<T>(schema: z.ZodType<T>, question: Question): Promise<T> {
  const { status, answer } = await callBroker(question)
  try {
    if (status === 403) {
      const what = question.path === '/open' ? 'signing credential was' : 'secrets were'
      throw new BuildFailure(
        'credential-refused',
        `The ${what} not released for this build; the audit log of the organization says why.`,
      )
    }
    if (status !== 200) throw unavailable(new Error(`the broker answered ${status}`))
    const payload = schema.safeParse(JSON.parse(answer.toString('utf8')))
    if (!payload.success) throw unavailable(new Error('the broker answered in an unknown form'))
    return payload.data
  } finally {
    answer.fill(0)
  }
}

type Answer = { status: number; answer: Buffer }

/** Only a connection that was never made is tried again: a credential opens once for a lease. */
async function callBroker(question: Question): Promise<Answer> {
  const { signal } = question
  try {
    return await retry(() => callOnce(question), {
      isTransient: (error) => error instanceof BrokerAbsent,
      budgetMs: connectBudgetMs,
      signal,
    })
  } catch (error) {
    signal.throwIfAborted()
    throw unavailable(error)
  }
}

function callOnce({ socketPath, path, token, body, signal }: Question): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const options = { socketPath, path, method: 'POST', headers, signal, timeout: answerTimeoutMs }
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
  platformFailure('broker-unavailable', 'The credential broker does not answer, so the build cannot go on.', cause)
