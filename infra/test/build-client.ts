import { setTimeout as sleep } from 'node:timers/promises'
import { deflateRawSync } from 'node:zlib'
import { writeArchive } from '@capstan/sdk/archive'
import type { Stack } from '../src/stack/start-stack.js'

export interface BuildSeen {
  readonly id: string
  readonly job: { readonly status: string; readonly finishedAt: string | null; readonly statusMessage?: string | null }
  readonly appBuildArtifacts: readonly { readonly id: string; readonly type: string; readonly status: string }[]
}

const ended = new Set(['succeeded', 'failed', 'canceled', 'rejected', 'timed_out'])

/** A project without dependencies whose build takes `seconds` and says each of them. */
function projectZip(seconds: number): Uint8Array<ArrayBuffer> {
  const script = `
    const { mkdirSync, writeFileSync } = require('node:fs')
    let left = ${seconds}
    const tick = () => {
      console.log('left: ' + left)
      if (left-- > 0) return setTimeout(tick, 1000)
      mkdirSync('dist', { recursive: true })
      writeFileSync('dist/index.html', '<h1>built</h1>')
    }
    tick()`
  const manifest = { name: 'slow', version: '1.0.0', scripts: { build: 'node build.cjs' } }
  const lock = {
    name: 'slow',
    version: '1.0.0',
    lockfileVersion: 3,
    packages: { '': { name: 'slow', version: '1.0.0' } },
  }
  const files = {
    'package.json': JSON.stringify(manifest),
    'package-lock.json': JSON.stringify(lock),
    'capacitor.config.json': JSON.stringify({ appId: 'com.example.slow', appName: 'Slow', webDir: 'dist' }),
    'build.cjs': script,
  }
  const inputs = Object.entries(files).map(([path, text]) => ({ path, content: new TextEncoder().encode(text) }))
  return writeArchive(inputs, (content) => deflateRawSync(content))
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
    const response = await fetch(`${this.stack.apiUrl}${path}`, { method, headers, ...(body ? { body: payload } : {}) })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text}`)
    return (text ? JSON.parse(text) : undefined) as T
  }

  async createApp(): Promise<string> {
    const path = `/v1/apps?organizationId=${this.organizationId}`
    return (await this.call<{ id: string }>('POST', path, { name: `App ${Date.now()}`, type: 'capacitor' })).id
  }

  private async uploadSource(appId: string, zip: Uint8Array<ArrayBuffer>): Promise<string> {
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
    const appBuildSourceId = await this.uploadSource(appId, projectZip(seconds))
    const body = { platform: 'web', appBuildSourceId }
    return (await this.call<{ id: string }>('POST', `/v1/apps/${appId}/builds`, body)).id
  }

  async build(appId: string, buildId: string): Promise<BuildSeen> {
    return this.call('GET', `/v1/apps/${appId}/builds/${buildId}?relations=appBuildArtifacts,job`)
  }

  async log(appId: string, buildId: string): Promise<string[]> {
    const path = `/v1/apps/${appId}/builds/${buildId}?relations=job,job.jobLogs`
    const { job } = await this.call<{ job: { jobLogs: { payload: string }[] } }>('GET', path)
    return job.jobLogs.map(({ payload }) => payload)
  }

  async untilLogged(appId: string, buildId: string, text: string, withinMs = 60_000): Promise<void> {
    const deadline = Date.now() + withinMs
    while (!(await this.log(appId, buildId)).some((line) => line.includes(text))) {
      const { job } = await this.build(appId, buildId)
      if (ended.has(job.status)) throw new Error(`the build ended as ${job.status} without saying "${text}"`)
      if (Date.now() > deadline) throw new Error(`the build did not say "${text}" within ${withinMs} ms`)
      await sleep(150)
    }
  }

  async untilEnded(appId: string, buildId: string, withinMs = 120_000): Promise<BuildSeen> {
    const deadline = Date.now() + withinMs
    for (;;) {
      const build = await this.build(appId, buildId)
      if (ended.has(build.job.status)) return build
      if (Date.now() > deadline) throw new Error(`the build is still ${build.job.status} after ${withinMs} ms`)
      await sleep(200)
    }
  }
}
