import { pino } from 'pino'
import { ConfigError, readConfig } from './config.js'
import { leaveNoMemoryInCores } from './leave-no-memory-in-cores.js'
import { startWorker } from './start-worker.js'

async function main(): Promise<void> {
  leaveNoMemoryInCores()
  const { config, secrets } = readConfig(process.env)
  const log = pino({ level: config.logLevel, name: 'worker' })
  const signaled = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal))
  })
  const worker = await Promise.race([startWorker(config, secrets, log), signaled.then(() => undefined)])
  if (worker !== undefined) {
    log.info({ worker: config.workerName, concurrency: config.concurrency }, 'ready')
    log.info({ signal: await signaled }, 'stopping')
    await worker[Symbol.asyncDispose]()
  }
  log.info('stopped')
}

try {
  await main()
  process.exit(0)
} catch (error) {
  if (!(error instanceof ConfigError)) throw error
  process.stderr.write(`worker: ${error.message}\n`)
  process.exit(78)
}
