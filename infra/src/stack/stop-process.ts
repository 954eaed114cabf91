import { setTimeout as sleep } from 'node:timers/promises'
import { isRunning, type ProcessIdentity } from './identify-process.js'

function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  try {
    if (isRunning(identity)) process.kill(identity.pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function waitForEnd(identity: ProcessIdentity, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms
  while (isRunning(identity)) {
    if (Date.now() > deadline) return false
    await sleep(20)
  }
  return true
}

/** Asks the process to end, then makes it. */
export async function stopProcess(
  identity: ProcessIdentity,
  { first = 'SIGTERM', graceMs = 10_000 }: { first?: NodeJS.Signals; graceMs?: number } = {},
): Promise<void> {
  signal(identity, first)
  if (await waitForEnd(identity, graceMs)) return
  signal(identity, 'SIGKILL')
  await waitForEnd(identity, 5000)
}
