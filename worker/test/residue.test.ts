import { afterAll, beforeAll, expect, test } from 'vitest'
import { androidProject } from './android-project.js'
import type { Bench } from './build-bench.js'
import { openBench } from './build-bench.js'

const MARKER = 'left-behind-by-the-first-build'
const PLACES = ['$HOME', '/tmp', '/work', '$HOME/.npm', '$HOME/.cache', '$HOME/.gradle', '/var/tmp', '/dev/shm']

/** Leaves a marker wherever it may write, in the git configuration, and in a process that goes on. */
const leave = [
  'mkdir -p dist && cp src/index.html dist/',
  ...PLACES.map((place) => `(mkdir -p ${place} && echo ${MARKER} > ${place}/${MARKER}) 2>/dev/null || true`),
  `git config --global user.name ${MARKER} || true`,
  `(exec -a ${MARKER} sleep 300 &)`,
].join('; ')

/** Says what of it is there: in files, in the git configuration, among the processes. */
const look = [
  'mkdir -p dist && cp src/index.html dist/',
  `echo files: $(find / -path /proc -prune -o -name '${MARKER}' -print 2>/dev/null | wc -l)`,
  `for place in ${PLACES.join(' ')}; do test -e $place/${MARKER} && echo found $place; done; true`,
  `echo git: $(git config --global user.name)`,
  `echo processes: $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c '[l]${MARKER.slice(1)} 300')`,
].join('; ')

let bench: Bench

beforeAll(async () => {
  bench = await openBench()
  bench.api.spec = { platform: 'web', type: null }
})
afterAll(() => bench[Symbol.asyncDispose]())

async function build(script: string): Promise<string> {
  bench.api.batches.clear()
  bench.api.source = androidProject({
    scripts: { build: 'bash build.sh' },
    files: [{ name: 'build.sh', content: script.replaceAll('; ', '\n') }],
  })
  await bench.run()
  expect(bench.api.finishes.at(-1), bench.api.log).toMatchObject({ status: 'succeeded' })
  return bench.api.log
}

test('the markers are there for the build that wrote them', async () => {
  const log = await build(`${leave}; ${look}`)
  expect(log).toMatch(/files: [1-9]/)
  expect(log).toContain('found /tmp')
  expect(log).toContain(`git: ${MARKER}`)
  expect(log).toMatch(/processes: [1-9]/)
})

test('a build finds nothing of the build before it on the same worker', async () => {
  await build(leave)
  const log = await build(look)
  expect(log).toContain('files: 0')
  expect(log).not.toContain('found ')
  expect(log).toMatch(/^git:\s*$/m)
  expect(log).toContain('processes: 0')
  expect(await bench.world.engine.removeLabelled({ capstan: bench.world.identity.stackId })).toBe(0)
})
