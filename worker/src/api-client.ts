import { randomUUID } from 'node:crypto'
import type {
  ArtifactDeclaration,
  CacheDeclaration,
  CacheQuestion,
  CacheReport,
  ClaimRequest,
  FinishReport,
  LogBatch,
  PhaseReport,
  SourceReport,
  WaitingReport,
  WorkerReport,
} from '@capstan/migrations/messages'
import {
  ArtifactUpload,
  CacheAnswer,
  CacheUpload,
  Claim,
  HeartbeatResponse,
  WorkerReportAnswer,
} from '@capstan/migrations/messages'
import { z } from 'zod'
import { LeaseLost } from './build-failure.js'
import { retry } from './retry.js'

/** The API refused a request; retrying the same request cannot help. */
export class ApiRefusal extends Error {
  override name = 'ApiRefusal'
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, detail: string) {
    super(`the API answered ${status} ${code}: ${detail}`)
    this.status = status
    this.code = code
  }
}

/** No answer, or one that promises to change: the network, a restart, too many requests. */
export class ApiUnreachable extends Error {
  override name = 'ApiUnreachable'
}

type CallOptions = { signal?: AbortSignal; budgetMs?: number }

export type LeaseClient = {
  heartbeat(options?: CallOptions): Promise<HeartbeatResponse>
  reportPhases(reports: readonly PhaseReport[], options?: CallOptions): Promise<void>
  reportSource(report: SourceReport, options?: CallOptions): Promise<void>
  appendLogs(batch: LogBatch, options?: CallOptions): Promise<void>
  declareArtifact(declaration: ArtifactDeclaration, options?: CallOptions): Promise<ArtifactUpload>
  finalizeArtifact(artifactId: string, options?: CallOptions): Promise<void>
  findCache(question: CacheQuestion, options?: CallOptions): Promise<CacheAnswer>
  declareCache(declaration: CacheDeclaration, options?: CallOptions): Promise<CacheUpload>
  finalizeCache(cacheId: string, options?: CallOptions): Promise<void>
  reportCache(report: CacheReport, options?: CallOptions): Promise<void>
  finish(report: FinishReport, options?: CallOptions): Promise<void>
}

export type ApiClient = {
  /** Says that the worker is there and what it can do. */
  report(report: WorkerReport, options?: CallOptions): Promise<WorkerReportAnswer>
  /** `undefined` when the build is not to be had: claimed by another, canceled, finished or unknown. */
  claim(buildId: string, request: Omit<ClaimRequest, 'nonce'>, options?: CallOptions): Promise<Claim | undefined>
  reportWaiting(buildId: string, report: WaitingReport, options?: CallOptions): Promise<void>
  withLease(leaseToken: string): LeaseClient
}

export type ApiClientOptions = { baseUrl: string; workerToken: string; requestTimeoutMs?: number }

type Call = { path: string; token: string; body: unknown } & CallOptions

const defaultBudgetMs = 5 * 60_000

const ProblemDocument = z.object({ code: z.string().default('unknown'), detail: z.string().default('') })

export function createApiClient(options: ApiClientOptions): ApiClient {
  const requestTimeoutMs = options.requestTimeoutMs ?? 30_000

  const post = (call: Call): Promise<unknown> =>
    retry(() => postOnce(`${options.baseUrl}/worker/v1${call.path}`, call, requestTimeoutMs), {
      isTransient: (error) => error instanceof ApiUnreachable,
      budgetMs: call.budgetMs ?? defaultBudgetMs,
      ...(call.signal && { signal: call.signal }),
    })

  return {
    report: async (body, callOptions) =>
      WorkerReportAnswer.parse(await post({ path: '/report', token: options.workerToken, body, ...callOptions })),
    async claim(buildId, request, callOptions) {
      const body = { ...request, nonce: randomUUID() }
      try {
        return Claim.parse(
          await post({ path: `/builds/${buildId}/claim`, token: options.workerToken, body, ...callOptions }),
        )
      } catch (error) {
        if (error instanceof ApiRefusal && (error.status === 409 || error.status === 404)) return undefined
        throw error
      }
    },
    async reportWaiting(buildId, body, callOptions) {
      await post({ path: `/builds/${buildId}/waiting`, token: options.workerToken, body, ...callOptions })
    },
    withLease: (token) => leaseClient((path, body, callOptions) => post({ path, token, body, ...callOptions })),
  }
}

function leaseClient(post: (path: string, body: unknown, options?: CallOptions) => Promise<unknown>): LeaseClient {
  const lease = async (path: string, body: unknown, options?: CallOptions): Promise<unknown> => {
    try {
      return await post(`/lease${path}`, body, options)
    } catch (error) {
      const isLost = error instanceof ApiRefusal && (error.code === 'lease-lost' || error.status === 401)
      throw isLost ? new LeaseLost('the lease is lost', { cause: error }) : error
    }
  }
  return {
    heartbeat: async (options) => HeartbeatResponse.parse(await lease('/heartbeat', {}, options)),
    reportPhases: async (reports, options) => void (await lease('/phases', reports, options)),
    reportSource: async (report, options) => void (await lease('/source', report, options)),
    appendLogs: async (batch, options) => void (await lease('/logs', batch, options)),
    declareArtifact: async (declaration, options) =>
      ArtifactUpload.parse(await lease('/artifacts', declaration, options)),
    finalizeArtifact: async (id, options) => void (await lease(`/artifacts/${id}/finalize`, {}, options)),
    findCache: async (question, options) => CacheAnswer.parse(await lease('/caches/find', question, options)),
    declareCache: async (declaration, options) => CacheUpload.parse(await lease('/caches', declaration, options)),
    finalizeCache: async (id, options) => void (await lease(`/caches/${id}/finalize`, {}, options)),
    reportCache: async (report, options) => void (await lease('/caches/report', report, options)),
    finish: async (report, options) => void (await lease('/finish', report, options)),
  }
}

async function postOnce(url: string, call: Call, timeoutMs: number): Promise<unknown> {
  const timeout = AbortSignal.timeout(timeoutMs)
  let status: number
  let text: string
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${call.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(call.body),
      redirect: 'error',
      signal: call.signal === undefined ? timeout : AbortSignal.any([call.signal, timeout]),
    })
    status = response.status
    text = await response.text()
  } catch (error) {
    throw new ApiUnreachable('the API does not answer', { cause: error })
  }
  if (status >= 500 || status === 429 || status === 408) throw new ApiUnreachable(`the API answered ${status}`)
  const body = parseJson(text)
  if (status >= 200 && status < 300) return body
  const problem = ProblemDocument.catch({ code: 'unknown', detail: '' }).parse(body)
  throw new ApiRefusal(status, problem.code, problem.detail)
}

function parseJson(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
