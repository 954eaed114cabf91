import { afterEach, describe, expect, test, vi } from 'vitest'
import { assembleWebContext } from './assemble-web-context.js'
import { findImage, readDaemonArchitecture } from './docker.js'
import { ensureBuilderImages } from './ensure-builder-images.js'
import { definitionFolder } from './read-definition.js'

const never = new AbortController().signal
const image = process.env['TEST_BUILDER_IMAGE']

afterEach(() => {
  vi.unstubAllEnvs()
})

describe('without a Docker daemon', () => {
  test('making the images says what to start', async () => {
    vi.stubEnv('DOCKER_HOST', 'unix:///nonexistent/capstan-test.sock')
    await expect(ensureBuilderImages({ log: () => undefined })).rejects.toMatchObject({
      code: 'docker-unavailable',
      message: 'Docker does not answer: start the Docker daemon, or point DOCKER_HOST at one that runs.',
    })
  })

  test('an image is not taken for absent', async () => {
    vi.stubEnv('DOCKER_HOST', 'unix:///nonexistent/capstan-test.sock')
    await expect(findImage('capstan-builder:any', never)).rejects.toMatchObject({ code: 'command-failed' })
  })
})

test('a processor without builder images is refused before anything is fetched', async () => {
  const input = { definitionFolder, context: '/nonexistent', architecture: 'riscv64', signal: never }
  await expect(assembleWebContext({ ...input, onLine: () => undefined })).rejects.toThrow(
    'Builder images exist for amd64 and arm64; this Docker daemon builds for riscv64.',
  )
})

describe.runIf(image)('with a Docker daemon', () => {
  test('its processor is known', async () => {
    expect(await readDaemonArchitecture(never)).toMatch(/^(amd64|arm64)$/)
  })

  test('an image it has is found by id, and one it lacks is not', async () => {
    expect(await findImage(String(image), never)).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(await findImage('capstan-builder:0000000000000000', never)).toBeUndefined()
  })

  test('images that are there are returned at once, without a word', async () => {
    const lines: string[] = []
    const made = await ensureBuilderImages({ log: (line) => lines.push(line) })
    expect(made.builder).toMatch(/^capstan-builder:[0-9a-f]{16}$/)
    expect(made.id).toBe(await findImage(made.builder, never))
    expect(lines).toEqual([])
  })
})
