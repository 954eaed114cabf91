import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import type { Config } from '../config.js'
import { runTool } from '../run-tool.js'
import { findBrokenReferences } from './find-broken-references.js'

/** Says what came of one check as soon as it is known; resolves to whether it passed. */
async function timed(name: string, check: () => Promise<string | undefined>): Promise<boolean> {
  const started = performance.now()
  const complaint = await check()
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  if (complaint !== undefined) console.log(complaint)
  console.log(`${complaint === undefined ? 'ok     ' : 'FAILED '} ${name} (${seconds} s)`)
  return complaint === undefined
}

function tool(config: Config, entry: string, args: readonly string[]): () => Promise<string | undefined> {
  return async () => {
    const script = join(config.checkout, entry)
    const result = await runTool(process.execPath, [script, ...args], { cwd: config.checkout, env: config.baseEnv })
    return result.code === 0 ? undefined : `${result.stdout}${result.stderr}`.trim() || `exit code ${result.code}`
  }
}

/** Packages whose tests outside `src` nobody else compiles. */
function testedPackages(checkout: string): string[] {
  const folders = readdirSync(checkout, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return folders.map(({ name }) => name).filter((name) => existsSync(join(checkout, name, 'test', 'tsconfig.json')))
}

function testTypes(config: Config, name: string): () => Promise<string | undefined> {
  const remembered = ['--incremental', '--tsBuildInfoFile', join(name, 'dist', '.test.tsbuildinfo')]
  return tool(config, 'node_modules/typescript/bin/tsc', ['--noEmit', ...remembered, '-p', join(name, 'test')])
}

/** Format, lint, dead code, contract, document references. The set-up compiled the workspace, and so checked its types. */
export async function checkRepository(config: Config): Promise<number> {
  const outcomes = await Promise.all([
    timed('format', tool(config, 'node_modules/oxfmt/bin/oxfmt', ['--check', '.'])),
    timed('lint', tool(config, 'node_modules/oxlint/bin/oxlint', ['--type-aware', '--deny-warnings', '.'])),
    timed('dead code', tool(config, 'node_modules/knip/bin/knip.js', ['--no-progress'])),
    timed('contract', tool(config, 'api/dist/openapi.js', ['--check'])),
    ...testedPackages(config.checkout).map((name) => timed(`types of ${name}/test`, testTypes(config, name))),
    timed('document references', () => {
      const broken = findBrokenReferences(config.checkout)
      return Promise.resolve(broken.length > 0 ? broken.join('\n') : undefined)
    }),
  ])
  return outcomes.every(Boolean) ? 0 : 1
}
