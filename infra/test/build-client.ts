import { setTimeout as sleep } from 'node:timers/promises'
import type { Stack } from '../src/stack/start-stack.js'
import { androidProject, webProject } from './small-project.js'

export interface BuildSeen {
  readonly id: string
  readonly job: {
    readonly id: string
    readonly status: string
    readonly finishedAt: string | null
    readonly statusMessage?: string | null
  }
  readonly appBuildArtifacts: readonly { readonly id: string; readonly type: string; readonly status: string }[]
}

const ended = new Set(['succeeded', 'failed', 'canceled', 'rejected', 'timed_out'])

/** Asks again while the API is away, as it is for a moment after it was killed. */
async function insist(ask: () => Promise<Response>): Promise<Response> {
  for (const deadline = Date.now() + 60_000; ; await sleep(200)) {
    try {
      return await ask()
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
  }
}

/** What a customer's machine does over HTTP to have a web build made. */
export class BuildClient {
  private readonly stack: Stack
  private readonly token: string
  private readonly organizationId: string

  constructor(stack: Stack) {
    const organization = stack.organizations[0]
    if (!organization) throw new Error('the stack has no organization')
    this.stack = stack
    this.organizationId = organization.id
    this.token = organization.tokens['owner'] ?? ''
  }

  private async call<T>(method: string, path: string, body?: FormData | object): Promise<T> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.token}` }
    if (body && !(body instanceof FormData)) headers['content-type'] = 'application/json'
    const payload = body instanceof FormData ? body : JSON.stringify(body)
    const ask = () => fetch(`${this.stack.apiUrl}${path}`, { method, headers, ...(body ? { body: payload } : {}) })
    const response = await (method === 'GET' ? insist(ask) : ask())
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text}`)
    return (text ? JSON.parse(text) : undefined) as T
  }

  async createApp(): Promise<string> {
    const path = `/v1/apps?organizationId=${this.organizationId}`
    return (await this.call<{ id: string }>('POST', path, { name: `App ${Date.now()}`, type: 'capacitor' })).id
  }

  async uploadSource(appId: string, zip: Uint8Array<ArrayBuffer>): Promise<string> {
    const sources = `/v1/apps/${appId}/build-sources`
    const { id } = await this.call<{ id: string }>('POST', sources, { fileSizeInBytes: zip.byteLength })
    const upload = `${sources}/${id}/upload`
    const { uploadId } = await this.call<{ uploadId: string }>('POST', `${upload}?action=mpu-create`, {})
    const form = new FormData()
    form.append('blob', new Blob([zip]), 'source.zip')
    form.append('partNumber', '1')
    const part = await this.call<object>('PUT', `${upload}?action=mpu-uploadpart&uploadId=${uploadId}`, form)
    await this.call('POST', `${upload}?action=mpu-complete&uploadId=${uploadId}`, { parts: [part] })
    return id
  }

  /** Asks for a web build that takes `seconds`. */
  async requestBuild(appId: string, seconds: number): Promise<string> {
    return this.requestWebBuild(appId, await this.uploadSource(appId, webProject(seconds)))
  }

  async requestWebBuild(appId: string, appBuildSourceId: string): Promise<string> {
    return this.requestBuildOf(appId, { platform: 'web', appBuildSourceId })
  }

  async requestAndroidBuild(appId: string): Promise<string> {
    const appBuildSourceId = await this.uploadSource(appId, androidProject())
    return this.requestBuildOf(appId, { platform: 'android', type: 'debug', appBuildSourceId })
  }

  private async requestBuildOf(appId: string, body: object): Promise<string> {
    return (await this.call<{ id: string }>('POST', `/v1/apps/${appId}/builds`, body)).id
  }

  async cancel(jobId: string): Promise<void> {
    await this.call('PATCH', `/v1/jobs/${jobId}`, { status: 'canceled' })
  }

  async build(appId: string, buildId: string): Promise<BuildSeen> {
    return this.call('GET', `/v1/apps/${appId}/builds/${buildId}?relations=appBuildArtifacts,job`)
  }

  async logLines(appId: string, buildId: string): Promise<{ phase: string; payload: string }[]> {
    const path = `/v1/apps/${appId}/builds/${buildId}?relations=job,job.jobLogs`
    return (await this.call<{ job: { jobLogs: { phase: string; payload: string }[] } }>('GET', path)).job.jobLogs
  }

  async log(appId: string, buildId: string): Promise<string[]> {
    return (await this.logLines(appId, buildId)).map(({ payload }) => payload)
  }

  /** The lines of a job's live log as they come, until the job has ended. */
  async *follow(jobId: string): AsyncGenerator<string> {
    const headers = { authorization: `Bearer ${this.token}` }
    const response = await fetch(`${this.stack.apiUrl}/v1/jobs/${jobId}/logs/stream`, { headers })
    if (!response.ok || !response.body) throw new Error(`the live log was answered ${response.status}`)
    let text = ''
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk
      const events = text.split('\n\n')
      text = events.pop() ?? ''
      for (const event of events) {
        const payload = /^data: (.*)$/m.exec(event)?.[1]
        if (/^event: line$/m.test(event) && payload !== undefined) {
          yield (JSON.parse(payload) as { payload: string }).payload
        }
      }
    }
  }

  /** A part of the log, or all of it as text, as it comes. */
  async readLog(jobId: string, part: { after: number; limit: number } | 'download'): Promise<Response> {
    const query = part === 'download' ? '/download' : `?after=${part.after}&limit=${part.limit}`
    const headers = { authorization: `Bearer ${this.token}` }
    const response = await fetch(`${this.stack.apiUrl}/v1/jobs/${jobId}/logs${query}`, { headers })
    if (!response.ok) throw new Error(`the log was answered ${response.status}`)
    return response
  }

  async untilLogged(appId: string, buildId: string, text: string, withinMs = 120_000): Promise<void> {
    const deadline = Date.now() + withinMs
    while (!(await this.log(appId, buildId)).some((line) => line.includes(text))) {
      const { job } = await this.build(appId, buildId)
      if (ended.has(job.status)) throw new Error(`the build ended as ${job.status} without saying "${text}"`)
      if (Date.now() > deadline) throw new Error(`the build did not say "${text}" within ${withinMs} ms`)
      await sleep(150)
    }
  }

  async untilEnded(appId: string, buildId: string, withinMs = 240_000, signal?: AbortSignal): Promise<BuildSeen> {
    const deadline = Date.now() + withinMs
    for (;;) {
      signal?.throwIfAborted()
      const build = await this.build(appId, buildId)
      if (ended.has(build.job.status)) return build
      if (Date.now() > deadline) throw new Error(`the build is still ${build.job.status} after ${withinMs} ms`)
      await sleep(200)
    }
  }
}
