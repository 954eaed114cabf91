import { afterEach, beforeEach, expect, test } from 'vitest'
import { androidProject } from './android-project.js'
import type { Bench } from './build-bench.js'
import { noBroker, openBench } from './build-bench.js'

const secret = 'p@ss "q"/ü=\n2nd line'
let bench: Bench

beforeEach(async () => {
  bench = await openBench({ broker: { ...noBroker, openVariables: () => Promise.resolve({ SECRET: secret }) } })
  bench.api.spec = { platform: 'web', type: null }
})

afterEach(async () => {
  expect(bench.api.violations).toEqual([])
  await bench[Symbol.asyncDispose]()
})

/** Runs `script` as the web build; it may be as long as it likes. */
async function build(script: string): Promise<string[]> {
  bench.api.source = androidProject({
    scripts: { build: 'sh build.sh && mkdir -p dist && cp src/index.html dist/' },
    files: [{ name: 'build.sh', content: script }],
  })
  bench.api.batches.clear()
  await bench.run()
  return bench.api.lines
}

const portOf = (name: string) => {
  const url = process.env[name]
  if (url === undefined) throw new Error(`${name} is not set; \`npm test\` sets it.`)
  return new URL(url).port
}

test('whatever a build script tries against host, platform and neighbours fails, and the next build is well', async () => {
  const call = (host: string, port: number | string) =>
    `node -e "require('net').connect({host:'${host}',port:${port},timeout:3000}).on('connect',()=>process.exit(0)).on('timeout',()=>process.exit(3)).on('error',()=>process.exit(1))"`
  const attempts: Record<string, string> = {
    'write to the root': 'touch /x',
    'write to the image': 'touch /usr/bin/x /etc/passwd',
    'become root': 'su -c true || sudo true || setpriv --reuid 0 true',
    'see the engine': 'test -e /var/run/docker.sock -o -e /run/docker.sock -o -e /run/containerd',
    'mount something': 'mount -t tmpfs none /work',
    'make a namespace': 'unshare -Ur true',
    'read the host’s kernel log': 'dmesg',
    'see other processes than its own': 'test "$(ls -d /proc/[0-9]* | wc -l)" -gt 40',
    'reach Postgres': call('127.0.0.1', portOf('TEST_DATABASE_URL')),
    'reach Redis': call('127.0.0.1', portOf('TEST_REDIS_URL')),
    'reach the API': call('127.0.0.1', new URL(bench.api.url).port),
    'reach the metadata of the machine': call('169.254.169.254', 80),
    'reach a neighbour': call('172.17.0.2', 22),
    'reach the gateway': call('172.17.0.1', 22),
    'look up a name': 'getent hosts registry.npmjs.org',
    'write a file of fifty gigabytes':
      'fallocate -l 50G /work/big || dd if=/dev/zero of=/tmp/big bs=1M count=51200 status=none',
    'find its lease': `grep -arlE 'cl_b{36}' /proc/self/environ /work /tmp`,
  }
  const script = Object.entries(attempts)
    .map(([name, line]) => `if (${line}) >/dev/null 2>&1; then echo "did: ${name}"; else echo "could not: ${name}"; fi`)
    .concat('rm -f /work/big /tmp/big')
  const lines = await build(script.join('\n'))
  expect(lines.filter((line) => /^(did|could not): /.test(line))).toEqual(
    Object.keys(attempts).map((name) => `could not: ${name}`),
  )
  expect(bench.api.finishes).toMatchObject([{ status: 'succeeded' }])

  await build(`node -e "for(let n=0;n<4000;n++)child_process.spawn('sleep',['30'])"`)
  expect(bench.api.finishes[1]).toMatchObject({ status: 'failed', code: 'too-many-processes' })
  await build('true')
  expect(bench.api.finishes[2]).toMatchObject({ status: 'succeeded' })
})

test('a secret that a build prints in every spelling, in pieces and byte by byte, is in no line that leaves the worker', async () => {
  bench.api.spec = { ...bench.api.spec, hasSecretVariables: true }
  const print = `
    const s = process.env.SECRET, b = Buffer.from(s), at = (n) => Buffer.concat([Buffer.from('xyz').subarray(0, n), b, Buffer.from('tail')])
    const out = (text) => process.stdout.write(text)
    const pause = () => new Promise((go) => setTimeout(go, 15))
    const spellings = [s, s.replace('\\n', '\\r\\n'), JSON.stringify(s), encodeURIComponent(s), b.toString('hex'), b.toString('hex').toUpperCase(),
      ...[0, 1, 2].flatMap((n) => [at(n).toString('base64'), at(n).toString('base64url')]), ...s.split('\\n')]
    for (const spelling of spellings) {
      out('whole ' + spelling + '\\n')
      out('halved ' + spelling.slice(0, spelling.length / 2)); await pause(); out(spelling.slice(spelling.length / 2) + '\\n')
    }
    out('bytewise '); for (const byte of b) { out(Buffer.from([byte])); await pause() } out('\\n')
    out('printed ' + spellings.length + '\\n')`
  bench.api.source = androidProject({
    scripts: { build: 'node print.mjs && mkdir -p dist && cp src/index.html dist/' },
    files: [{ name: 'print.mjs', content: print }],
  })
  await bench.run()
  expect(bench.api.finishes).toMatchObject([{ status: 'succeeded' }])
  expect(bench.api.lines).toContain('printed 14')
  expect(bench.api.lines.filter((line) => /^(whole|halved|bytewise) /.test(line) && line.includes('***')).length).toBe(
    29,
  )
  const bytes = Buffer.from(secret)
  const parts = [...secret.split('\n'), bytes.toString('hex').slice(4, -4), encodeURIComponent(secret).slice(0, 12)]
  for (const part of [...parts, bytes.toString('base64').slice(4, 20)]) expect(bench.api.log).not.toContain(part)
})
