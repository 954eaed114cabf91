import { openArchive } from '@capstan/sdk/archive'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ProjectOptions } from './android-project.js'
import { androidProject } from './android-project.js'
import type { BrokerClient } from '../src/broker-client.js'
import type { Bench } from './build-bench.js'
import { openBench } from './build-bench.js'
import { makeZip } from './make-zip.js'
import { leaseToken } from './protocol-server.js'
import { watchContainers } from './watch-containers.js'

let bench: Bench

beforeEach(async () => {
  bench = await openBench()
})

afterEach(async () => {
  expect(bench.api.violations).toEqual([])
  await bench[Symbol.asyncDispose]()
})

const withBuild = (build: string, rest: ProjectOptions = {}) => androidProject({ scripts: { build }, ...rest })

const remaining = () => bench.world.engine.removeLabelled({ capstan: bench.world.identity.stackId })

async function failureOf(source: Buffer) {
  bench.api.source = source
  await bench.run()
  expect(bench.api.artifacts.filter(({ final }) => final)).toEqual([])
  expect(bench.api.finishes).toHaveLength(1)
  expect(await remaining()).toBe(0)
  return bench.api.finishes[0]
}

async function whenLogged(text: string): Promise<void> {
  await expect.poll(() => bench.api.log, { interval: 20 }).toContain(text)
}

describe('an Android build', () => {
  test('of type debug runs every phase, is signed with a key of its own and leaves nothing behind', async () => {
    bench.api.source = androidProject()
    await bench.run()

    expect(bench.api.log).toContain('BUILD SUCCESSFUL')
    expect(bench.api.finishes).toEqual([{ status: 'succeeded', retryable: false }])
    const order = [
      'prepare',
      'fetch-source',
      'install',
      'build-web',
      'sync-native',
      'compile',
      'sign',
      'verify',
      'upload',
    ]
    expect(bench.api.phaseStates()).toEqual(order.flatMap((phase) => [`${phase} started`, `${phase} succeeded`]))
    expect(bench.api.artifacts).toHaveLength(1)
    const [artifact] = bench.api.artifacts
    const declaration = { type: 'apk', packageName: 'com.example.pier', fileName: 'app-debug-7.apk' }
    expect(artifact).toMatchObject({ final: true, declaration })
    expect(artifact?.bytes?.includes('assets/public/index.html')).toBe(true)
    expect(await remaining()).toBe(0)
  })

  test('removes what an earlier attempt on this host left running', async () => {
    const { engine, identity } = bench.world
    const zombie = await engine.startContainer({
      kind: 'build',
      name: `capstan-${bench.buildId}-0-build`,
      imageId: await bench.world.imageId(),
      labels: { capstan: identity.stackId, 'capstan.worker': 'another', 'capstan.build': bench.buildId },
      limits: bench.api.buildSpec(bench.buildId).limits,
    })
    bench.api.source = androidProject({ without: ['android/gradlew'] })
    await bench.run()
    await expect(engine.inspect(zombie)).rejects.toMatchObject({ statusCode: 404 })
  })

  test('without android/gradlew says so', async () => {
    const failure = await failureOf(androidProject({ without: ['android/gradlew'] }))
    expect(failure).toMatchObject({ status: 'failed', code: 'gradlew-missing', retryable: false })
  })

  test('with a gradlew that lost its mode says how to mend it', async () => {
    const failure = await failureOf(androidProject({ gradlewMode: 0o100644 }))
    expect(failure).toMatchObject({ code: 'gradlew-not-executable' })
  })

  test('that leaves no APK fails although Gradle succeeded', async () => {
    expect(await failureOf(androidProject({ gradlew: '#!/bin/sh\nexit 0\n' }))).toMatchObject({ code: 'apk-missing' })
  })

  test('does not take an APK that came with the source for its own', async () => {
    const files = [{ name: 'android/app/build/outputs/apk/debug/app-debug-unsigned.apk', content: 'planted' }]
    const failure = await failureOf(androidProject({ gradlew: '#!/bin/sh\nexit 0\n', files }))
    expect(failure).toMatchObject({ code: 'apk-missing' })
  })

  test('of type release without a certificate is refused before anything runs', async () => {
    bench.api.spec = { type: 'release' }
    expect(await failureOf(androidProject())).toMatchObject({ code: 'signing-certificate-missing' })
    expect(bench.api.phaseStates()).toEqual(['prepare started', 'prepare failed'])
  })

  test('whose web output is missing names the folder', async () => {
    const failure = await failureOf(androidProject({ scripts: {} }))
    expect(failure).toMatchObject({ code: 'web-output-missing' })
    expect(bench.api.phaseStates()).toContain('build-web skipped')
  })

  test('for iOS is refused', async () => {
    bench.api.spec = { platform: 'ios' }
    expect(await failureOf(androidProject())).toMatchObject({ code: 'platform-unsupported' })
  })
})

describe('a web build', () => {
  const web = { platform: 'web', type: null } as const

  test('ends in an archive that a device would accept, the same bytes every time', async () => {
    bench.api.spec = web
    bench.api.source = androidProject()
    await bench.run()
    await bench.run()
    expect(bench.api.finishes.map(({ status }) => status)).toEqual(['succeeded', 'succeeded'])
    const [first, second] = bench.api.artifacts
    expect(first).toMatchObject({ final: true, declaration: { type: 'zip', mimeType: 'application/zip' } })
    const archive = openArchive(new Uint8Array(first?.bytes ?? []))
    expect(archive.files.map(({ path }) => path)).toEqual(['index.html'])
    expect(second?.declaration.sha256).toBe(first?.declaration.sha256)
    expect(bench.api.phaseStates()).toContain('sign skipped')
  })

  test('whose output holds a link is refused', async () => {
    bench.api.spec = web
    const build = 'mkdir dist && touch dist/index.html && ln -s /etc/passwd dist/passwd'
    expect(await failureOf(withBuild(build))).toMatchObject({ code: 'output-not-plain' })
  })

  test('without index.html is refused', async () => {
    bench.api.spec = web
    expect(await failureOf(withBuild('mkdir dist'))).toMatchObject({ code: 'web-output-missing' })
  })
})

describe('the source', () => {
  test('is refused when its bytes are not those that were uploaded', async () => {
    bench.api.source = androidProject()
    const claim = bench.api.claim(bench.buildId)
    bench.api.source = Buffer.from(bench.api.source).fill(0, 0, 1)
    bench.api.spec = { source: claim.spec.source }
    expect(await failureOf(bench.api.source)).toMatchObject({ code: 'source-corrupt', retryable: false })
    expect(bench.api.log).not.toContain('Received')
  })

  test('is refused when an entry leaves the project folder', async () => {
    const failure = await failureOf(makeZip([{ name: '../evil', content: 'x' }]))
    expect(failure).toMatchObject({ code: 'source-invalid' })
    expect(failure?.message).toContain('../evil')
  })

  test('is refused when the archive is cut short', async () => {
    const failure = await failureOf(androidProject().subarray(0, 400))
    expect(failure).toMatchObject({ code: 'source-invalid' })
    expect(failure?.message).toContain('not a complete zip archive')
  })

  test('with a lockfile that does not fit fails with that reason', async () => {
    const files = [
      { name: 'package.json', content: '{"name":"pier","version":"1.0.0","dependencies":{"buoy":"file:buoy"}}' },
      {
        name: 'package-lock.json',
        content: '{"name":"pier","version":"1.0.0","lockfileVersion":3,"packages":{"":{}}}',
      },
      { name: 'buoy/package.json', content: '{"name":"buoy","version":"1.0.0"}' },
    ]
    expect(await failureOf(makeZip(files))).toMatchObject({
      code: 'lockfile-outdated',
      status: 'failed',
      retryable: false,
    })
  })

  test('whose install script fails says which command did', async () => {
    const failure = await failureOf(androidProject({ scripts: { postinstall: 'echo no pier here >&2; exit 7' } }))
    expect(failure).toMatchObject({
      code: 'install-failed',
      message: expect.stringContaining('"npm ci" ended with exit code'),
    })
    expect(bench.api.log).toContain('no pier here')
  })
})

describe('variables', () => {
  const secret = 'sw0rdfish "quoted" & long'

  test('that are secret reach the build, and neither the log nor the container configuration', async () => {
    bench.api.spec = { hasSecretVariables: true, variables: { STAGE: 'moored' } }
    const asked: unknown[] = []
    const openVariables: BrokerClient['openVariables'] = (token, attempt) => {
      asked.push([token, attempt])
      return Promise.resolve({ API_SECRET: secret })
    }
    bench.world.broker = { ...bench.world.broker, openVariables }
    const print =
      'node -e "const s=process.env.API_SECRET;console.log(s,Buffer.from(s).toString(`base64`),s.length,process.env.STAGE)"'
    bench.api.source = withBuild(`${print} && mkdir dist`)
    const configurations = watchContainers(bench)
    await bench.run()
    expect(bench.api.finishes[0]?.status).toBe('succeeded')
    expect(bench.api.lines).toContain(`*** *** ${secret.length} moored`)
    expect(asked).toEqual([[leaseToken, 1]])
    const seen = await configurations()
    expect(seen).toContain(`capstan-${bench.buildId}-1-build`)
    expect(seen).not.toContain('sw0rdfish')
  })

  test('with an impossible name are refused', async () => {
    bench.api.spec = { variables: { 'A=B': 'x' } }
    expect(await failureOf(androidProject())).toMatchObject({ code: 'variable-invalid' })
  })
})

describe('a phase', () => {
  test('does its work while its start is reported, and the next one begins when that has been heard', async () => {
    let answer = () => {}
    bench.api.phasesGate = new Promise((resolve) => (answer = resolve))
    bench.api.source = withBuild('mkdir dist')
    const { engine } = bench.world
    const started = new Promise<void>((resolve) => {
      const startContainer: typeof engine.startContainer = (spec) => engine.startContainer(spec).finally(resolve)
      bench.world.engine = { ...engine, startContainer }
    })
    const running = bench.run()
    await started
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(bench.api.phaseStates()).toEqual([])
    expect(bench.api.sourceRequests).toBe(0)
    answer()
    await running
    expect(bench.api.finishes[0]?.status).toBe('succeeded')
    expect(bench.api.phaseStates().slice(0, 3)).toEqual([
      'prepare started',
      'prepare succeeded',
      'fetch-source started',
    ])
  })
})

describe('the API going away', () => {
  test('for a while loses no line and no phase', async () => {
    bench.api.source = withBuild('for n in 1 2 3 4 5 6 7 8; do echo line $n; sleep 0.4; done; mkdir dist')
    const running = bench.run()
    await whenLogged('line 2')
    bench.api.isDown = true
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    bench.api.isDown = false
    await running
    expect(bench.api.finishes[0]?.status).toBe('succeeded')
    expect(bench.api.lines.filter((line) => line.startsWith('line '))).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((n) => `line ${n}`),
    )
    expect([...bench.api.batches.keys()]).toEqual(Array.from({ length: bench.api.batches.size }, (_, n) => n + 1))
  })
})
