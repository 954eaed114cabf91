import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { CommandError } from './command.js'
import { signerEnvironment } from './config.js'

const timeout = 120_000

/** Runs the customer's signing program, without a shell; what it prints is the signature, its own complaints go to the terminal. */
export async function askSigner(
  program: string,
  message: Uint8Array,
  environment: Record<string, string>,
): Promise<string> {
  const running = spawn(program, [], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: signerEnvironment(environment),
    timeout,
  })
  const ended = new Promise<number | string>((resolve) => {
    running.on('error', (error: Error & { code?: string }) => resolve(error.code ?? error.message))
    running.on('close', (code, signal) => resolve(code ?? signal ?? 'no exit code'))
  })
  // A program that takes the digest from its environment may never read.
  running.stdin.on('error', () => undefined)
  running.stdin.end(message)
  const printed = await text(running.stdout).catch(() => '')
  const outcome = await ended
  if (outcome !== 0) throw new CommandError('SIGNER', `The signing program ${program} failed (${outcome}).`)
  return printed
}
