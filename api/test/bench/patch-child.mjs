// One measurement in a process of its own: `make fast|best`, `apply`, or `read`, which is what the others hold anyway.
import { readFileSync, writeFileSync } from 'node:fs'
import { applyPatch } from '@capstan/sdk/delta'
import { makePatch } from '@capstan/sdk/delta/make'

const [what, oldFile, freshFile, patchFile, effort] = process.argv.slice(2)
const old = readFileSync(oldFile)
const fresh = readFileSync(freshFile)
const patch = what === 'make' ? null : readFileSync(patchFile)
const started = performance.now()
if (what === 'make') writeFileSync(patchFile, makePatch(old, fresh, { effort }))
if (what === 'apply') {
  const made = await applyPatch(patch, old, fresh.length)
  if (!fresh.equals(made)) throw new Error('the patch makes something else')
}
const milliseconds = performance.now() - started
console.log(JSON.stringify({ milliseconds, peakRssBytes: process.resourceUsage().maxRSS * 1024 }))
