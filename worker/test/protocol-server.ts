import {
  ArtifactDeclaration,
  CacheDeclaration,
  CacheQuestion,
  CacheReport,
  ClaimRequest,
  FinishReport,
  LogBatch,
  PhasesBody,
  SourceReport,
  WaitingReport,
  WorkerReport,
} from '@capstan/migrations/messages'
import type { BuildSpec, CacheAnswer, PhaseReport } from '@capstan/migrations/messages'
import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'

export const workerToken = `cw_${'a'.repeat(36)}`
export const leaseToken = `cl_${'b'.repeat(36)}`

type Stored = { id: string; declaration: ArtifactDeclaration; bytes?: Buffer; final: boolean }

/** The API's side of the worker protocol, held to the same schemas; it stands at the edge of the worker's process. */
export class ProtocolServer {
  readonly phases: PhaseReport[] = []
  readonly batches = new Map<number, LogBatch>()
  readonly batchesReceived: number[] = []
  readonly artifacts: Stored[] = []
  readonly finishes: Omit<FinishReport, 'phases' | 'logs'>[] = []
  readonly waiting: WaitingReport[] = []
  readonly reports: WorkerReport[] = []
  readonly sources: SourceReport[] = []
  readonly cacheQuestions: CacheQuestion[] = []
  readonly cacheReports: CacheReport[] = []
  /** What builds left; `bytes` are served again at `/store/<id>`. */
  readonly caches: { id: string; declaration: CacheDeclaration; bytes?: Buffer; final: boolean }[] = []
  cacheAnswer: CacheAnswer = { state: 'miss', maxBytes: 64 << 20 }
  readonly violations: string[] = []
  claims = 0
  heartbeats = 0
  /** Every connection is cut without an answer while this is set. */
  isDown = false
  isLeaseLost = false
  cancelRequested = false
  /** Answered to every lease call while it is set. */
  refusal: { status: number; code: string } | undefined
  isClaimed = false
  /** Reports of phases are answered when it settles. */
  phasesGate: Promise<void> | undefined
  source: Buffer = Buffer.alloc(0)
  sourceRequests = 0
  spec: Partial<BuildSpec> = {}
  #server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => {
      this.violations.push(String(error))
      response.destroy()
    })
  })

  async start(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get lines(): string[] {
    return [...this.batches.values()].flatMap(({ lines }) => lines.map(({ text }) => text))
  }

  get log(): string {
    return this.lines.join('\n')
  }

  /** Answers a build with an archive that is what the platform recorded, or says it is. */
  offerCache(bytes: Buffer, recorded = createHash('sha256').update(bytes).digest('hex')): void {
    const id = 'stored'
    const question = { packageManager: 'npm', lockfileSha256: recorded, imageId: '' } as const
    this.caches.push({ id, declaration: { ...question, sizeBytes: 1, sha256: recorded }, bytes, final: true })
    this.cacheAnswer = { state: 'hit', url: `${this.url}/store/${id}`, sha256: recorded, sizeBytes: bytes.length }
  }

  phaseStates(): string[] {
    return this.phases.map(({ phase, state }) => `${phase} ${state}`)
  }

  buildSpec(buildId: string): BuildSpec {
    return {
      buildId,
      appId: randomUUID(),
      orgId: randomUUID(),
      number: 7,
      platform: 'android',
      type: 'debug',
      variables: {},
      hasSecretVariables: false,
      source: {
        kind: 'archive',
        url: `${this.url}/source`,
        sha256: createHash('sha256').update(this.source).digest('hex'),
        sizeBytes: this.source.length,
      },
      signing: null,
      limits: {
        memoryBytes: 768 << 20,
        cpus: 2,
        pids: 512,
        diskBytes: 256 << 20,
        wallClockMs: 120_000,
        logBytes: 64 << 20,
      },
      ...this.spec,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.isDown) {
      request.socket.destroy()
      return
    }
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const path = request.url ?? ''
    if (path === '/source') {
      this.sourceRequests += 1
      response.end(this.source)
    } else if (path.startsWith('/store/')) this.#receive(path.slice(7), request, body, response)
    else await this.#call(path, request.headers.authorization, body, response)
  }

  #receive(id: string, request: IncomingMessage, bytes: Buffer, response: ServerResponse): void {
    const artifact = [...this.artifacts, ...this.caches].find((candidate) => candidate.id === id)
    if (request.method === 'GET') return void response.writeHead(artifact?.bytes ? 200 : 404).end(artifact?.bytes)
    if (request.method !== 'PUT' || Number(request.headers['content-length']) !== artifact?.declaration.sizeBytes) {
      this.violations.push(`${request.method} ${id} with length ${request.headers['content-length']}`)
    }
    if (artifact) artifact.bytes = bytes
    response.end()
  }

  async #call(path: string, authorization: string | undefined, body: Buffer, response: ServerResponse): Promise<void> {
    const reply = (status: number, value: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(value))
    }
    const build = /^\/worker\/v1\/builds\/([^/]+)\/(claim|waiting)$/.exec(path)
    const isReport = path === '/worker/v1/report'
    const expected = build || isReport ? workerToken : leaseToken
    if (authorization !== `Bearer ${expected}`) this.violations.push(`${path}: wrong token`)
    if (this.isLeaseLost && !build && !isReport) return reply(409, { code: 'lease-lost', detail: 'lost' })
    if (this.refusal && !build && !isReport)
      return reply(this.refusal.status, { code: this.refusal.code, detail: 'refused' })
    const parsed: unknown = JSON.parse(body.toString('utf8'))
    if (isReport) {
      this.reports.push(WorkerReport.parse(parsed))
      return reply(200, { nextReportMs: 1_000, queues: ['builds'] })
    }
    if (build?.[2] === 'waiting') {
      this.waiting.push(WaitingReport.parse(parsed))
      return reply(200, {})
    }
    if (build) {
      ClaimRequest.parse(parsed)
      if (this.isClaimed) return reply(409, { code: 'build-not-claimable', detail: 'claimed' })
      this.claims += 1
      this.isClaimed = true
      return reply(200, this.claim(build[1] ?? ''))
    }
    if (path.endsWith('/phases')) await this.phasesGate
    return reply(200, this.#lease(path.slice('/worker/v1/lease'.length), parsed))
  }

  claim(buildId: string) {
    const expiresAt = new Date(Date.now() + 60_000).toISOString()
    return { lease: { id: randomUUID(), token: leaseToken, expiresAt }, attempt: 1, spec: this.buildSpec(buildId) }
  }

  #lease(path: string, body: unknown): unknown {
    if (path === '/heartbeat') {
      this.heartbeats += 1
      return { expiresAt: new Date(Date.now() + 60_000).toISOString(), cancelRequested: this.cancelRequested }
    }
    if (path === '/source') this.sources.push(SourceReport.parse(body))
    else if (path === '/phases') this.phases.push(...[PhasesBody.parse(body)].flat())
    else if (path === '/logs') this.#keep(LogBatch.parse(body))
    else if (path === '/finish') {
      const { phases = [], logs, ...end } = FinishReport.parse(body)
      this.phases.push(...phases)
      if (logs) this.#keep(logs)
      this.finishes.push(end)
    } else if (path === '/artifacts') {
      const id = randomUUID()
      this.artifacts.push({ id, declaration: ArtifactDeclaration.parse(body), final: false })
      return { artifactId: id, uploadUrl: `${this.url}/store/${id}` }
    } else if (path.startsWith('/caches')) return this.#cache(path, body)
    else this.#finalize(z.string().parse(/^\/artifacts\/([^/]+)\/finalize$/.exec(path)?.[1]))
    return {}
  }

  #keep(batch: LogBatch): void {
    this.batchesReceived.push(batch.batch)
    this.batches.set(batch.batch, batch)
  }

  #cache(path: string, body: unknown): unknown {
    if (path === '/caches/find') {
      this.cacheQuestions.push(CacheQuestion.parse(body))
      return this.cacheAnswer
    }
    if (path === '/caches/report') this.cacheReports.push(CacheReport.parse(body))
    else if (path === '/caches') {
      const id = randomUUID()
      this.caches.push({ id, declaration: CacheDeclaration.parse(body), final: false })
      return { cacheId: id, uploadUrl: `${this.url}/store/${id}` }
    } else {
      const cache = this.caches.find(({ id }) => path === `/caches/${id}/finalize`)
      if (cache) cache.final = true
    }
    return {}
  }

  #finalize(id: string): void {
    const artifact = this.artifacts.find((candidate) => candidate.id === id)
    const digest = createHash('sha256')
      .update(artifact?.bytes ?? '')
      .digest('hex')
    if (artifact?.declaration.sha256 !== digest) this.violations.push(`artifact ${id} is not what was declared`)
    else artifact.final = true
  }
}
