import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import {
  createLiveUpdate,
  type LiveUpdate,
  LiveUpdateError,
  type NodeLiveUpdateOptions,
} from '@capstan/sdk/live-update/node'
import type { DeviceReport, PageSeen } from './run-device.js'

/** Plays an app: each run of this program is two starts of it with an update check between them. */

function versionShown(directory: string): string {
  const page = readFileSync(join(directory, 'index.html'), 'utf8')
  return /<meta name="app-version" content="([^"]*)"/.exec(page)?.[1] ?? 'unknown'
}

async function startApp(updates: LiveUpdate): Promise<PageSeen> {
  const { bundleId, directory, nonce } = await updates.launch()
  const version = versionShown(directory)
  await updates.ready(nonce)
  return { bundleId, version }
}

async function play(options: NodeLiveUpdateOptions): Promise<DeviceReport> {
  const before = await startApp(await createLiveUpdate(options))
  const updates = await createLiveUpdate(options)
  let outcome: string
  try {
    outcome = (await updates.sync()).status
  } catch (error) {
    if (!(error instanceof LiveUpdateError)) throw error
    outcome = error.code
  }
  const after = await startApp(await createLiveUpdate(options))
  return { before, outcome, after }
}

console.log(JSON.stringify(await play((await json(process.stdin)) as NodeLiveUpdateOptions)))
