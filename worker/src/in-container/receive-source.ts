// Runs inside the build container: takes an archive from its standard input, unpacks it once the worker has said that its
// hash is the expected one, and prints what `inspect-project` finds as one JSON line. One command instead of three, for
// each costs as much as a phase. The other scripts come as arguments, as addresses that hold their text.
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type * as Inspecting from './inspect-project.js'
import type * as Unpacking from './unpack-source.js'

/** What the worker sends after the archive when its hash is the expected one. */
export const approval = Buffer.from('approved')
/** The worker did not approve of what arrived: nothing has looked at it. */
export const exitUnapproved = 5

type Reception = { archive: string; sizeBytes: number }

/** Writes exactly so many bytes of the input to a file; answers whether the approval and nothing else followed. */
export async function receive(input: AsyncIterable<Buffer>, { archive, sizeBytes }: Reception): Promise<boolean> {
  mkdirSync(dirname(archive), { recursive: true })
  const file = openSync(archive, 'w', 0o600)
  let left = sizeBytes
  let rest = Buffer.alloc(0)
  try {
    for await (const chunk of input) {
      const own = chunk.subarray(0, left)
      for (let at = 0; at < own.length;) at += writeSync(file, own, at)
      left -= own.length
      rest = Buffer.concat([rest, chunk.subarray(own.length)])
      if (rest.length > approval.length) return false
    }
  } finally {
    closeSync(file)
  }
  return left === 0 && rest.equals(approval)
}

async function main([
  ,
  ,
  unpackAt = '',
  inspectAt = '',
  sizeBytes,
  archive = '',
  directory = '',
  appId = '',
]: string[]) {
  const { unpackSource, explainRefusal } = (await import(unpackAt)) as typeof Unpacking
  const { inspectProject, inspectTools } = (await import(inspectAt)) as typeof Inspecting
  let entries: number
  try {
    if (!(await receive(process.stdin, { archive, sizeBytes: Number(sizeBytes) }))) {
      process.exitCode = exitUnapproved
      return
    }
    entries = await unpackSource(archive, directory)
  } catch (error) {
    const { exitCode, complaint } = explainRefusal(error)
    console.log(complaint)
    process.exitCode = exitCode
    return
  }
  rmSync(archive)
  console.log(JSON.stringify({ entries, project: inspectProject(directory, appId), tools: inspectTools() }))
}

if (process.argv[1] === 'capstan-receive') await main(process.argv)
